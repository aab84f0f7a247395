// Answers questions of judge.py about grammars, a JSON object a line:
//   in   {"kind": "json_schema" | "regex" | "gbnf", "text": ..., "flexible": bool, "instances": [text, ...], "walks":
//   n, "seed": s} out  {"error": ...} or {"accepted": [bool, ...], "walks": [text, ...], "open": walks that were given
//   up, "fault": ...}
// A walk is what the engine does: a constraint's cursor on a vocabulary with odd borders takes random allowed tokens
// until it must end; now and then tokens are run ahead and taken back, on a copy or in place. Masks on it are compared
// with what accept() says of each token; an empty mask, and one that differs after a token was taken back, are faults.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "corbel/base/json.h"
#include "corbel/engine/constraint.h"

namespace {

using namespace corbel;

constexpr int kMaxSteps = 500;

std::shared_ptr<const TokenVocabulary> odd_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"\":",        "{\"",  "\",\"",  "\"}",  "]}",    "[[",       "\":\"", "\":{\"",   "}}",       "\"]",
        "],[",        "true", "tr",     "alse", "null,", "null}",    "foo",   "bar\"",    "\"foo\":", "baz",
        " ",          "  ",   "\n  ",   ", ",   ": ",    "12",       "345",   "1.",       "00",       "-1",
        ".5",         "e1",   "\\u00",  "\\\"", "\\n\\", "\xC3\xA9", "\xA9x", "\xE2\x82", "\x82\xAC", "\xF0\x9F\x98",
        "\x98\x80\"", "a",    "ab",     "abc",  "xyz",   "-01",      "2024-", "T12:",     "::",       "1.2.",
        "@a.",        "://",  "false}", "[]",   "{}",    "{}}",      "[],",   "\"\"",     "\"\",",    "aaaaaaaa"}) {
    tokens.emplace_back(text);
  }
  tokens.emplace_back();  // a special token
  tokens.emplace_back();  // the end
  const auto end = static_cast<std::int32_t>(tokens.size() - 1);
  return *TokenVocabulary::make(std::move(tokens), {end});
}

struct Walker {
  Constraint& constraint;
  std::mt19937_64 random;
  std::string fault = {};

  const TokenVocabulary& vocabulary() const { return constraint.masker().vocabulary(); }

  bool consistent(const ConstraintCursor& cursor, const std::vector<std::uint64_t>& mask) {
    for (std::int32_t token = 0; token < vocabulary().size(); ++token) {
      ConstraintCursor copy = cursor;
      const bool allowed = ((mask[token / 64] >> (token % 64)) & 1) != 0;
      if (copy.accept(token) != allowed) {
        fault = cat("mask says ", allowed, " of token ", token);
        return false;
      }
    }
    return true;
  }

  std::int32_t choose(const std::vector<std::int32_t>& allowed, int step) {
    if (vocabulary().is_end(allowed.back()) && random() % 3 == 0) return allowed.back();
    std::vector<std::int32_t> closing;
    for (const std::int32_t token : allowed) {
      const std::string_view bytes = vocabulary().bytes(token);
      if (bytes.empty() || bytes.find_first_of("\"}]") == 0) closing.push_back(token);
    }
    if (!closing.empty() && random() % 100 < static_cast<unsigned>(10 + step))
      return closing[random() % closing.size()];
    return allowed[random() % allowed.size()];
  }

  std::vector<std::int32_t> allowed_of(const std::vector<std::uint64_t>& mask) const {
    std::vector<std::int32_t> allowed;
    for (std::int32_t token = 0; token < vocabulary().size(); ++token) {
      if (((mask[token / 64] >> (token % 64)) & 1) != 0) allowed.push_back(token);
    }
    return allowed;
  }

  /// Runs up to three tokens ahead and takes them back: the mask is the same again.
  void run_ahead(ConstraintCursor& cursor, const std::vector<std::uint64_t>& mask) {
    std::vector<std::uint64_t> other = mask;
    std::size_t taken = 0;
    for (std::size_t most = random() % 4; taken < most; ++taken) {
      const std::vector<std::int32_t> allowed = allowed_of(other);
      if (allowed.empty()) break;
      if (!cursor.accept(allowed[random() % allowed.size()])) fault = "an allowed token was refused ahead";
      cursor.fill_mask(other);
    }
    cursor.rollback(taken);
    cursor.fill_mask(other);
    if (other != mask) fault = cat("another mask after ", taken, " tokens were taken back");
  }

  bool walk(std::string& text) {
    ConstraintCursor cursor = constraint.start();
    std::vector<std::uint64_t> mask(constraint.mask_words() + 1);
    for (int step = 0; step < kMaxSteps; ++step) {
      if (cursor.must_end()) return true;
      cursor.fill_mask(mask);
      if (random() % 8 == 0) {
        ConstraintCursor copy = cursor;
        run_ahead(random() % 2 == 0 ? cursor : copy, mask);
      }
      const std::vector<std::int32_t> allowed = allowed_of(mask);
      if (allowed.empty()) fault = cat("nothing is allowed after ", text);
      if (!fault.empty() || ((step < 3 || random() % 64 == 0) && !consistent(cursor, mask))) return false;
      const std::int32_t token = choose(allowed, step);
      if (!cursor.accept(token)) fault = "an allowed token was refused";
      if (vocabulary().is_end(token)) return true;
      text += vocabulary().bytes(token);
    }
    return false;
  }
};

bool accepts(TokenMasker& masker, const std::string& text) {
  GrammarCursor cursor = masker.start();
  for (const char c : text) {
    if (!masker.accept(cursor, static_cast<std::uint8_t>(c))) return false;
  }
  return masker.may_end(cursor);
}

Json answer(const Json& question, const std::shared_ptr<const TokenVocabulary>& vocabulary) {
  const std::string text = question.at("text");
  GrammarOptions options;
  if (question.value("flexible", false)) options.whitespace = Whitespace::flexible;
  const std::string kind = question.at("kind");
  const GrammarSource source = kind == "regex"  ? GrammarSource::regex(text)
                               : kind == "gbnf" ? GrammarSource::gbnf(text)
                                                : GrammarSource::json_schema(text);
  auto grammar = compile_grammar(source, options);
  if (!grammar) return {{"error", grammar.error().message}};
  auto masker = TokenMasker::make(std::make_shared<const Grammar>(*std::move(grammar)), vocabulary);
  if (!masker) return {{"error", masker.error().message}};
  Json out = {{"accepted", Json::array()}, {"walks", Json::array()}, {"open", 0}};
  for (const Json& instance : question.value("instances", Json::array()))
    out["accepted"].push_back(accepts(**masker, instance));
  const int walks = question.value("walks", 0);
  const auto constraint = std::make_shared<Constraint>(*std::move(masker));
  Walker walker{*constraint, std::mt19937_64(question.value("seed", 1))};
  for (int i = 0; i < walks && walker.fault.empty(); ++i) {
    std::string written;
    if (i == walks / 2)
      constraint->masker().limit_memory(std::size_t{1} << 16);  // everything is forgotten again and again
    if (walker.walk(written)) {
      out["walks"].push_back(written);
    } else {
      out["open"] = out["open"].get<int>() + 1;
    }
  }
  if (!walker.fault.empty()) out["fault"] = walker.fault;
  return out;
}

}  // namespace

int main() {
  const auto vocabulary = odd_vocabulary();
  for (std::string line; std::getline(std::cin, line);) {
    const Json question = Json::parse(line);
    std::cout << answer(question, vocabulary).dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
}
