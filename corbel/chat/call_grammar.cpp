#include "corbel/chat/call_grammar.h"

#include <algorithm>

#include "corbel/base/quote.h"
#include "corbel/chat/call_grammar_values.h"
#include "corbel/chat/tool_call_json.h"

namespace corbel {
namespace {

using Source = GrammarSource;
constexpr std::uint32_t kMaxCalls = 32;

Source optional(Source part) { return Source::repeat(std::move(part), 0, 1); }
Source newline() { return optional(Source::literal("\n")); }
Source space() { return optional(Source::literal(" ")); }

/// A marker's text: where it has blanks, none or one of them will do, as for the parser. What is blanks alone stays.
Source marker(std::string_view text) {
  if (without_blanks(text).empty()) return Source::literal(std::string(text));
  std::vector<Source> parts;
  while (!text.empty()) {
    const std::size_t blanks = std::min(text.find_first_not_of(" \n\r\t"), text.size());
    if (blanks > 0) parts.push_back(optional(Source::literal(std::string(text.substr(0, 1)))));
    text.remove_prefix(blanks);
    const std::size_t size = std::min(text.find_first_of(" \n\r\t"), text.size());
    if (size > 0) parts.push_back(Source::marked(std::string(text.substr(0, size))));
    text.remove_prefix(size);
  }
  return Source::sequence(std::move(parts));
}

/// One or more of `call` with `between` between them.
Source calls(Source call, Source between, CallCount count) {
  if (count == CallCount::one) return call;
  Source more = Source::repeat(Source::sequence({std::move(between), call}), 0, kMaxCalls - 1);
  return Source::sequence({std::move(call), std::move(more)});
}

Source section(const ToolCallSyntax& syntax, Source inner) {
  if (syntax.section_open.empty()) return inner;
  return Source::sequence(
      {marker(syntax.section_open), newline(), std::move(inner), newline(), marker(syntax.section_close)});
}

/// {"name": "f", "arguments": {...}}
Source json_call(const ToolSpec& tool) {
  std::vector<Source> parts;
  const auto key = [&](std::vector<std::string> names) {
    parts.push_back(Source::choice(std::move(names)));
    parts.push_back(Source::literal(":"));
    parts.push_back(space());
  };
  parts.push_back(Source::literal("{"));
  key({R"("name")", R"("tool_name")"});
  parts.push_back(Source::literal(json_quoted(tool.name) + ","));
  parts.push_back(space());
  key({R"("arguments")", R"("parameters")"});
  parts.push_back(Source::json_schema(tool.schema_text()));
  parts.push_back(newline());
  parts.push_back(Source::literal("}"));
  return Source::sequence(std::move(parts));
}

Source json_object_calls(const ToolCallSyntax& syntax, Source call, CallCount count) {
  const bool bare = stands_bare(syntax);
  const auto around = [&](Source inner) {
    if (bare) return inner;
    return Source::sequence({marker(syntax.open), newline(), std::move(inner), newline(), marker(syntax.close)});
  };
  Source list = around(Source::sequence({Source::literal("["), newline(), calls(call, Source::regex(",[ \\n]?"), count),
                                         newline(), Source::literal("]")}));
  // Without a text that closes it, another call's marker does.
  Source between = bare ? Source::choice({"\n", "; "}) : newline();
  Source single = calls(around(std::move(call)), std::move(between), count);
  return Source::any_of({std::move(single), std::move(list)});
}

/// f MARK {...}
Source named_json_call(const ToolCallSyntax& syntax, const ToolSpec& tool) {
  std::vector<Source> parts{marker(syntax.open), Source::literal(syntax.name_prefix + tool.name)};
  if (!syntax.name_prefix.empty()) parts.push_back(optional(Source::regex(":\\d{1,3}")));
  parts.push_back(marker(syntax.name_end));
  parts.push_back(newline());
  parts.push_back(Source::json_schema(tool.schema_text()));
  parts.push_back(newline());
  parts.push_back(marker(syntax.close));
  return Source::sequence(std::move(parts));
}

Source any_call(std::vector<Source> each) {
  if (each.size() == 1) return std::move(each.front());
  return Source::any_of(std::move(each));
}

Result<Source> syntax_calls(const ToolCallSyntax& syntax, std::span<const ToolSpec* const> tools, CallCount count) {
  std::vector<Source> each;
  for (const ToolSpec* tool : tools) {
    switch (syntax.shape) {
      case ToolCallShape::json_object: each.push_back(json_call(*tool)); break;
      case ToolCallShape::named_json: each.push_back(named_json_call(syntax, *tool)); break;
      default: {
        CORBEL_ASSIGN(Source arguments, call_arguments(syntax, *tool));
        each.push_back(std::move(arguments));
      }
    }
  }
  Source one = any_call(std::move(each));
  switch (syntax.shape) {
    case ToolCallShape::json_object: return section(syntax, json_object_calls(syntax, std::move(one), count));
    case ToolCallShape::python_calls: {
      Source list = calls(std::move(one), Source::regex(", ?"), count);
      return Source::sequence(
          {marker(syntax.open), Source::literal("["), std::move(list), Source::literal("]"), marker(syntax.close)});
    }
    default: return section(syntax, calls(std::move(one), newline(), count));
  }
}

/// A call of a model that writes in channels; it ends its answer with it.
Source channel_call(std::span<const ToolSpec* const> tools) {
  std::vector<Source> each;
  for (const ToolSpec* tool : tools) {
    each.push_back(Source::sequence({Source::marked("<|channel|>commentary to=functions." + tool->name), space(),
                                     optional(Source::marked("<|constrain|>json")), Source::marked("<|message|>"),
                                     Source::json_schema(tool->schema_text())}));
  }
  return any_call(std::move(each));
}

/// Thoughts in channels ahead of `body`.
Source behind_channels(Source body) {
  Source thought = Source::sequence({Source::marked("<|channel|>analysis<|message|>"), Source::until("<|end|>"),
                                     Source::marked("<|start|>assistant")});
  return Source::sequence({Source::repeat(std::move(thought), 0, 8), std::move(body)});
}

bool ends_with(std::string_view prompt, std::string_view marker) {
  marker = without_blanks(marker);
  return !marker.empty() && without_blanks(prompt).ends_with(marker);
}

}  // namespace

Result<GrammarSource> calls_grammar(const AnswerFormat& format, std::span<const ToolSpec* const> tools,
                                    CallCount count) {
  CORBEL_CHECK(!tools.empty(), "calls of no tool");
  if (format.parts().channels) return channel_call(tools);
  if (format.parts().calls.empty()) {
    return fail(Code::unsupported,
                "\"tool_choice\" demands a call, but the model has no chat template that says how it writes one");
  }
  return syntax_calls(format.parts().calls.front(), tools, count);
}

GrammarSource answer_grammar(const AnswerFormat& format, const AnswerFrame& frame, GrammarSource body) {
  const AnswerFormat::Parts& parts = format.parts();
  if (!frame.is_calls && !parts.channels) {
    // What begins like thoughts is read as thoughts, and would be no content.
    for (const ReasoningMarkers& markers : parts.reasoning) body = Source::unless_begins(std::move(body), markers.open);
    body = Source::unless_begins(std::move(body), parts.content_open);
  }
  if (parts.channels) {
    if (!frame.is_calls) body = Source::sequence({Source::marked("<|channel|>final<|message|>"), std::move(body)});
    return behind_channels(std::move(body));
  }
  if (!frame.is_calls && !parts.content_open.empty() && !ends_with(frame.prompt, parts.content_open)) {
    Source marked = Source::sequence({Source::marked(parts.content_open), body, Source::marked(parts.content_close)});
    body = Source::any_of({std::move(marked), std::move(body)});
  }
  const auto behind = [&](const std::string& close, Source rest) {
    return Source::sequence({Source::until(close), Source::repeat(Source::literal("\n"), 0, 4), std::move(rest)});
  };
  if (const ReasoningMarkers* open = format.open_reasoning(frame.prompt)) return behind(open->close, std::move(body));
  if (!frame.thinks) return body;
  std::vector<Source> ways;
  for (const ReasoningMarkers& markers : parts.reasoning) {
    if (ends_with(frame.prompt, markers.close)) return body;
    ways.push_back(Source::sequence({Source::marked(markers.open), behind(markers.close, body)}));
  }
  ways.push_back(std::move(body));
  return Source::any_of(std::move(ways));
}

}  // namespace corbel
