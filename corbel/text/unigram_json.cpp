#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/tokenizer_json.h"
#include "corbel/text/unigram_model.h"

namespace corbel {
namespace {

using simdjson::dom::element;

double power_of_ten(int exponent) noexcept {
  const std::string text = cat("1e", exponent);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Hugging Face's reader takes the digits of a number as an integer, rounds it to double, and multiplies or divides by
/// a power of ten: its scores are up to a unit in the last place off, and which of two equal sums wins depends on it.
/// `exact` is the nearest double; files have its shortest spelling.
double read_with_two_roundings(double exact) noexcept {
  static constexpr double kPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  char text[32];
  const char* const end = std::to_chars(text, text + sizeof text, std::abs(exact), std::chars_format::scientific).ptr;
  std::uint64_t digits = 0;
  int exponent = 0;
  const char* at = text;
  for (bool behind_point = false; at < end && *at != 'e'; ++at) {
    if (*at == '.') {
      behind_point = true;
      continue;
    }
    digits = digits * 10 + static_cast<std::uint64_t>(*at - '0');
    exponent -= behind_point ? 1 : 0;
  }
  int written = 0;
  at += at[1] == '+' ? 2 : 1;  // from_chars() takes no plus
  std::from_chars(at, end, written);
  exponent += written;
  if (exponent < -308) return exact;  // denormal: no score
  const auto size = static_cast<std::size_t>(std::abs(exponent));
  const double power = size < std::size(kPowers) ? kPowers[size] : power_of_ten(std::abs(exponent));
  const double read = exponent < 0 ? static_cast<double>(digits) / power : static_cast<double>(digits) * power;
  return std::signbit(exact) ? -read : read;
}

struct ScoredVocabulary {
  Vocabulary vocabulary;
  std::vector<double> scores;
};

/// An array of [token, score]; a token's place is its id.
Result<ScoredVocabulary> read_scored_vocabulary(const simdjson::dom::array& entries, const std::string& source) {
  ScoredVocabulary read;
  // simdjson counts up to 2^24; more than Vocabulary::kMaxTokens are refused below.
  read.vocabulary.reserve(entries.size(), entries.size() * 8);
  read.scores.reserve(entries.size());
  std::int64_t id = 0;
  for (const element entry : entries) {
    const auto field = [&] { return cat("model.vocab[", id, "]"); };
    simdjson::dom::array pair;
    if (entry.get(pair) != simdjson::SUCCESS)
      return wrong_type(source, field(), "an array of a token and its score", entry);
    if (pair.size() != 2) {
      return fail(Code::bad_file, cat(source, ": \"", field(), "\" must be an array of a token and its score, found ",
                                      pair.size(), " values"));
    }
    std::string_view token;
    double score = 0;
    if (pair.at(0).get(token) != simdjson::SUCCESS) {
      return wrong_type(source, cat(field(), "[0]"), "a string, the token", pair.at(0).value_unsafe());
    }
    if (pair.at(1).get(score) != simdjson::SUCCESS) {
      return wrong_type(source, cat(field(), "[1]"), "a number, the token's score", pair.at(1).value_unsafe());
    }
    if (auto added = read.vocabulary.add(token, id, "model.vocab"); !added) return forward_failure(added, source);
    read.scores.push_back(read_with_two_roundings(score));
    ++id;
  }
  return read;
}

}  // namespace

Result<std::unique_ptr<TokenModel>> read_unigram(const simdjson::dom::object& model, const ModelContext& context) {
  CORBEL_ASSIGN(const Json small, model_settings(model, context.source));
  const JsonFields fields(small, context.source, "model");
  CORBEL_ASSIGN(const simdjson::dom::array entries, require_array(model, "vocab", context.source));
  CORBEL_ASSIGN(ScoredVocabulary read, read_scored_vocabulary(entries, context.source));
  UnigramModel::Options options;
  CORBEL_ASSIGN(options.byte_fallback, fields.get_bool("byte_fallback", false));
  if (fields.has("unk_id")) {
    const std::int64_t last = read.vocabulary.limit() - 1;
    if (last < 0) {
      CORBEL_ASSIGN(const std::int64_t id, fields.require_int("unk_id", 0, Vocabulary::kMaxTokens));
      return fail(Code::bad_file, cat(context.source, ": \"model.unk_id\" is ", id, ", but \"model.vocab\" is empty"));
    }
    CORBEL_ASSIGN(const std::int64_t id, fields.require_int("unk_id", 0, last));
    options.unknown_id = static_cast<std::int32_t>(id);
  }
  auto made = UnigramModel::make(std::move(read.vocabulary), std::move(read.scores), {}, options);
  if (!made) return forward_failure(made, cat(context.source, ": model"));
  return std::unique_ptr<TokenModel>(*std::move(made));
}

}  // namespace corbel
