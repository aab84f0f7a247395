// grammar_bench TOKENIZER...: microseconds a token that masks cost, cold and warm, on real vocabularies. Writes the
// same document under several grammars, token by token, and times fill_mask and accept.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "corbel/grammar/token_masker.h"
#include "corbel/grammar/tokenizer_vocabulary.h"

namespace {

using namespace corbel;
using Clock = std::chrono::steady_clock;

double micros(Clock::time_point from) { return std::chrono::duration<double, std::micro>(Clock::now() - from).count(); }

constexpr std::string_view kPerson =
    R"({"type":"object","properties":{"name":{"type":"string","maxLength":60},"age":{"type":"integer","minimum":0,"maximum":150},
        "email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"enum":["new","old","vip"]},"maxItems":5},
        "notes":{"type":"string"},"children":{"type":"array","items":{"$ref":"#"}}},
        "required":["name","age","email","tags","notes","children"],"additionalProperties":false})";
constexpr std::string_view kCode = R"({"type":"string","pattern":"^[A-Z][a-z ]+$"})";

std::string person(int depth) {
  std::string children;
  for (int i = 0; i < depth; ++i) children += (i > 0 ? "," : "") + person(depth - 1);
  return R"({"name":"Maria van der Berg","age":42,"email":"maria.berg@example.org","tags":["new","vip"],)"
         R"("notes":"Prefers to be called in the morning; speaks German, Dutch and a little Portuguese. \"Urgent\" since May.","children":[)" +
         children + "]}";
}

struct Case {
  const char* name;
  GrammarSource source;
  std::string text;
};

void run(const Case& each, const Tokenizer& tokenizer, const std::shared_ptr<const TokenVocabulary>& vocabulary) {
  const auto compiling = Clock::now();
  auto grammar =
      compile_grammar(each.source, {.alphabet = vocabulary->single_bytes(), .specials = vocabulary->specials()});
  if (!grammar) {
    std::fprintf(stderr, "grammar_bench: %s\n", grammar.error().message.c_str());
    std::exit(1);
  }
  const double compile_ms = micros(compiling) / 1000;
  auto masker = *TokenMasker::make(std::make_shared<const Grammar>(*std::move(grammar)), vocabulary);
  const auto ids = *tokenizer.encode(each.text, {.add_special_tokens = false});
  std::vector<std::uint64_t> mask(vocabulary->mask_words());
  for (int round = 0; round < 3; ++round) {
    std::vector<double> times;
    GrammarCursor cursor = masker->start();
    for (const std::int32_t id : ids) {
      const auto begin = Clock::now();
      masker->fill_mask(cursor, mask);
      const bool good = masker->accept(cursor, id);
      times.push_back(micros(begin));
      if (!good) {
        std::fprintf(stderr, "grammar_bench: %s: token %d is refused\n", each.name, id);
        std::exit(1);
      }
    }
    double sum = 0;
    for (const double time : times) sum += time;
    std::sort(times.begin(), times.end());
    std::printf(
        "%-10s compile %6.2f ms  round %d  %4zu tokens  mean %7.1f us  p50 %6.1f  p95 %7.1f  max %8.1f  memory %5.1f "
        "MB\n",
        each.name, compile_ms, round, times.size(), sum / static_cast<double>(times.size()), times[times.size() / 2],
        times[times.size() * 95 / 100], times.back(), static_cast<double>(masker->bytes_used()) / 1e6);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const auto tokenizer = Tokenizer::load(argv[i]);
    if (!tokenizer) {
      std::fprintf(stderr, "grammar_bench: %s\n", tokenizer.error().message.c_str());
      return 1;
    }
    const auto begin = Clock::now();
    const auto vocabulary =
        *make_token_vocabulary(*tokenizer, {tokenizer->special_ids().empty() ? 0 : tokenizer->special_ids()[0]});
    std::printf("%s: %d tokens, prepared in %.0f ms\n", argv[i], vocabulary->size(), micros(begin) / 1000);
    const std::string text = person(2);
    for (const Case& each : {Case{"person", GrammarSource::json_schema(std::string(kPerson)), text},
                             Case{"any json", GrammarSource::json_object(), text},
                             Case{"pattern", GrammarSource::json_schema(std::string(kCode)),
                                  "\"Hello there this is a long line of words\""}}) {
      run(each, *tokenizer, vocabulary);
    }
  }
  return 0;
}
