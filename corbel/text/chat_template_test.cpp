#include "corbel/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace corbel {
namespace {

using testing::HasSubstr;

std::string rendered(const std::string& source, const Json& variables = Json::object()) {
  const auto compiled = ChatTemplate::compile(source, "t");
  if (!compiled) return "COMPILE " + compiled.error().message;
  const auto text = compiled->render(variables);
  return text ? *text : "ERROR " + text.error().message;
}

struct Case {
  const char* source;
  const char* expected;
};

/// What Python's jinja2 3.1 prints, with trim_blocks and lstrip_blocks.
constexpr Case kCases[] = {
    {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1e16 }} {{ 0.1 }} {{ 100.0 }} {{ 1e-5 }}",
     "3 -4 2 3.5 1024 1e+16 0.1 100.0 1e-05"},
    {"{{ [1, 'a', none, true, 1.5, {'k': (1,)}] }}", "[1, 'a', None, True, 1.5, {'k': (1,)}]"},
    {"{{ {'a': [1], 'b': \"it's\"}|tojson }}", "{\"a\": [1], \"b\": \"it's\"}"},
    {"{{ {'a': [1, {}], 'b': []}|tojson(indent=2) }}", "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"},
    {"{{ 'a' ~ 1 ~ none }} {{ 'ab' * 2 }} {{ [1] + [2] }} {{ '%s-%03d' % ('x', 7) }} {{ '{:>4}|{}'.format('q', 1) }}",
     "a1None abab [1, 2] x-007    q|1"},
    {"{{ 'abc'[1:] }} {{ 'abc'[::-1] }} {{ [1,2,3][-1] }} {{ [1,2,3][:-1] }} {{ 'h\\u00e9llo'|length }} {{ 'abc'[9] is "
     "defined }}",
     "bc cba 3 [1, 2] 5 False"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ not 1 == 2 }} {{ 'a' in 'abc' }} {{ 'z' not in ['a'] }} {{ 1 in {1: 2} }}",
     "True False True True True True"},
    {"{{ x is defined }} {{ x is none }} {{ none is none }} {{ '' is string }} {{ {} is mapping }} {{ true is number "
     "}}",
     "False False True True True True"},
    {"{{ x|default('d') }} {{ ''|default('d', true) }} {{ x }} {{ 5 if false }}", "d d  "},
    {"{% for a, b in {'x': 1, 'y': 2}.items() %}{{ loop.index }}{{ a }}{{ b }}{{ ',' if not loop.last }}{% endfor %}",
     "1x1,2y2"},
    {"{% for i in range(5) if i % 2 %}{{ i }}/{{ loop.length }} {% else %}none{% endfor %}", "1/2 3/2 "},
    {"{% for i in [] %}x{% else %}none{% endfor %}", "none"},
    {"{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% "
     "endfor %}",
     "013"},
    {"{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% set q = i %}{% endfor %}{{ ns.n "
     "}}{{ q }}",
     "6"},
    {"{% macro m(a, b='B') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{% set c = 'C' %}{{ m('x') }}{{ m(b=1, a=2) }}",
     "xBC21C"},
    {"{% macro m() %}[{{ caller(3) }}]{% endmacro %}{% call(n) m() %}n={{ n }}{% endcall %}", "[n=3]"},
    {"{% set t %} hi {{ 1 }} {% endset %}{{ t|trim }}{% filter upper %}a{{ 'b' }}{% endfilter %}", "hi 1AB"},
    {"{{ [{'r': 'u', 'c': 1}, {'r': 'v', 'c': 2}]|selectattr('r', 'equalto', 'v')|map(attribute='c')|list }}", "[2]"},
    {"{{ [3, 1, 2]|sort|join(',') }} {{ ['b', 'A']|sort }} {{ [1, 1, 2]|unique|list }} {{ {'b': 1, 'A': 2}|dictsort }}",
     "1,2,3 ['A', 'b'] [1, 2] [('A', 2), ('b', 1)]"},
    {"{{ 'a b  c'.split() }} {{ 'a,b,'.split(',') }} {{ ' x '.strip() }}| {{ 'abc'.rstrip('cb') }} {{ "
     "'aXbX'.replace('X', '-') }}",
     "['a', 'b', 'c'] ['a', 'b', ''] x| a a-b-"},
    {"{{ 'hello world'|title }} {{ 'aB'|capitalize }} {{ 'x\\ny'|indent(2) }} {{ 2.5|round }} {{ '12'|int + 1 }} {{ "
     "'q'|int }}",
     "Hello World Ab x\n  y 2.0 13 0"},
    {"a\n  {% if true %}\n  b\n  {% endif %}\nc {%- if true %} d {% endif -%} \n e", "a\n  b\nc d e"},
    {"{% raw %}{{ x }}{% endraw %}{# note #}|{%+ if true %}y{% endif %}", "{{ x }}|y"},
    {"{{ '<b>'|safe + '&' }} {{ ('<'|e) }}", "<b>&amp; &lt;"},
    {"{{ 'a\\tb\\x41\\u00e9\\'' }} {{ 'a' 'b' }}", "a\tbA\u00e9' ab"},
    {"{{ (1, 2) }} {{ range(3)|list }} {{ dict(a=1) }} {{ {'a': {'b': 2}}.a.b }} {{ {'items': 3}['items'] }}",
     "(1, 2) [0, 1, 2] {'a': 1} 2 3"},
    {"{{ -2 ** 2 }} {{ 'x' is string and not false or 1 }} {{ 1 if 0 else 2 }} {{ '5' | int * 2 }}", "4 True 2 10"},
    {"{% for x in [1, [2, [3]]] recursive %}{{ x if x is number else loop(x) }}{% endfor %}", "123"},
    {"{% generation %}g{% endgeneration %}{{ none|selectattr('x')|list }}", "g[]"},
    {"end\n", "end"},
};

TEST(ChatTemplate, PrintsWhatPythonPrints) {
  for (const auto& [source, expected] : kCases) EXPECT_EQ(rendered(source), expected) << source;
}

TEST(ChatTemplate, RefusesWhatPythonRefusesAndSaysWhere) {
  EXPECT_THAT(rendered("a\n{{ raise_exception('no ' ~ 'way') }}"), HasSubstr("ERROR t:2:"));
  EXPECT_THAT(rendered("{{ raise_exception('no way') }}"), HasSubstr("no way"));
  EXPECT_THAT(rendered("{{ x.y }}"), HasSubstr("'x' is undefined"));
  EXPECT_THAT(rendered("{{ 'a' + 1 }}"), HasSubstr("'+' is not supported between 'str' and 'int'"));
  EXPECT_THAT(rendered("{{ [].append(1) }}"), HasSubstr("may not change"));
  EXPECT_THAT(rendered("{{ 1|nothing }}"), HasSubstr("no filter is named 'nothing'"));
  EXPECT_THAT(rendered("{{ x()}}"), HasSubstr("'x' is undefined"));
  EXPECT_THAT(rendered("{{ 1/0 }}"), HasSubstr("division by zero"));
  EXPECT_THAT(rendered("{% set x.y = 1 %}"), HasSubstr("not a namespace"));
  EXPECT_THAT(rendered("{{ x|tojson }}"), HasSubstr("no JSON form"));
  EXPECT_THAT(rendered("{{ 9223372036854775807 + 1 }}"), HasSubstr("64 bits"));
}

TEST(ChatTemplate, DoesNotCompileWhatDoesNotParse) {
  for (const char* source :
       {"{% if %}", "{{ 1 +", "{% for x in y %}", "{% endif %}", "{{ 'a }}", "{# ", "{% raw %}", "{{ (1 }}",
        "{% nope %}", "{{ a b }}", "{% set 1 = 2 %}", "{% break %}", "{{ 'a' is string is string }}", "{{ ? }}"}) {
    EXPECT_THAT(rendered(source), HasSubstr("COMPILE t:")) << source;
  }
  EXPECT_THAT(rendered("ab\ncd {{ ) }}"), HasSubstr("t:2:7"));
}

TEST(ChatTemplate, StopsTemplatesThatDoNotStop) {
  EXPECT_THAT(rendered("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"),
              HasSubstr("too many steps"));
  EXPECT_THAT(rendered("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("deeper than"));
  EXPECT_THAT(
      rendered(
          "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"),
      HasSubstr("too much text"));
  EXPECT_THAT(rendered("{{ 'a' * 999999999999 }}"), HasSubstr("too big"));
  EXPECT_THAT(rendered("{{ range(1000000000) }}"), HasSubstr("range()"));
  EXPECT_THAT(rendered("{% set ns = namespace(s=[]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}"),
              HasSubstr("nested deeper"));
  EXPECT_THAT(rendered("{% set ns = namespace() %}{% set ns.s = ns %}{% set ns.l = loop %}{{ 1 }}"), "1");
  std::string deep = "{{ ";
  for (int i = 0; i < 5000; ++i) deep += "(";
  EXPECT_THAT(rendered(deep), HasSubstr("COMPILE"));
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  EXPECT_THAT(rendered(sum + " }}"), HasSubstr("COMPILE"));
}

TEST(ChatTemplate, ALoopKeptBeyondItsEndIsStillSafeToAsk) {
  EXPECT_EQ(
      rendered("{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.length }}"),
      "2");
  EXPECT_THAT(
      rendered("{% set ns = namespace() %}{% for i in [1] %}{% set ns.c = loop.cycle %}{% endfor %}{{ ns.c(1) }}"),
      HasSubstr("after the loop"));
}

TEST(ChatTemplate, RefusesWhatWouldTakeTooMuchMemoryBeforeTakingIt) {
  const std::string doubled =
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}";
  for (const std::string& source :
       {std::string("{{ '%1000000000d' % 1 }}"), std::string("{{ '{:1000000000}'.format(1) }}"),
        std::string("{{ '%.1000000000f' % 1 }}"), std::string("{{ '%*d' % (1000000000, 1) }}"),
        std::string("{{ '{:{}}'.format(1, 1000000000) }}"), std::string("{{ 'a'|center(10**9) }}"),
        std::string("{{ 'a'|indent(10**9) }}"), std::string("{{ 'a'.zfill(10**9) }}"),
        std::string("{{ '\\t'.expandtabs(10**9) }}"), std::string("{{ [1]|batch(10**9, 0)|list }}"),
        std::string("{{ [1]|slice(10**9)|list }}"), std::string("{{ [1]|tojson(indent=10**9) }}"),
        std::string("{{ ('a' * 1000000)|list|join('b' * 1000000) }}"),
        std::string("{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}"),
        std::string("{{ ('b' * 1000000).join('a' * 1000000) }}"), std::string("{{ 10 ** 10 ** 10 }}"),
        std::string("{% for x in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}"), doubled + "{{ ns.s }}",
        std::string("{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ s is lower }}{% endfor %}")}) {
    EXPECT_THAT(rendered(source), HasSubstr("ERROR t:1:")) << source;
  }
}

TEST(ChatTemplate, WholeNumbersBeyond64BitsAreRefusedAndNeverWrong) {
  for (const char* source : {"{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 2 ** 63 }}",
                             "{{ 3037000500 * 3037000500 }}", "{{ '9223372036854775808'|int }}", "{{ 1e19|int }}",
                             "{{ (-9223372036854775807 - 1)|abs }}", "{{ '%d' % 1e19 }}"}) {
    EXPECT_THAT(rendered(source), HasSubstr("64 bits")) << source;
  }
  EXPECT_THAT(rendered("{{ 9223372036854775808 }}"), HasSubstr("64 bits"));
  EXPECT_THAT(rendered("{{ n }}", {{"n", 18446744073709551615U}}), HasSubstr("64 bits"));
}

TEST(ChatTemplateSource, PrefersTheFileThenTheConfigAndReadsSpecialTokens) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "corbel_template_source";
  std::filesystem::create_directories(folder);
  EXPECT_TRUE(chat_template_source(folder)->templates.empty());
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null,
             "chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]})";
  auto source = chat_template_source(folder);
  ASSERT_TRUE(source.has_value()) << source.error().message;
  ASSERT_EQ(source->templates.size(), 2U);
  EXPECT_EQ(source->find()->source, "D");
  EXPECT_EQ(source->find("tool_use")->source, "T");
  EXPECT_EQ(source->find("other"), nullptr);
  const std::vector<std::pair<std::string, std::string>> expected = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  EXPECT_EQ(source->variables, expected);
  std::ofstream(folder / "chat_template.jinja") << "J";
  EXPECT_EQ(chat_template_source(folder)->find()->source, "J");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace corbel
