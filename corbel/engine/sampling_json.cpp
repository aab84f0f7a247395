#include "corbel/engine/sampling_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <variant>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// A member under the name it has in JSON. A member of another type needs an alternative and a reader below.
template <typename T>
using Member = std::variant<double T::*, std::int64_t T::*, std::uint64_t T::*, std::uint32_t T::*, bool T::*,
                            std::vector<std::int32_t> T::*, std::vector<std::string> T::*, std::vector<TokenBias> T::*>;
template <typename T>
struct Field {
  std::string_view name;
  Member<T> member;
};

constexpr auto kSampling = std::to_array<Field<SamplingOptions>>({
    {"temperature", &SamplingOptions::temperature},
    {"top_k", &SamplingOptions::top_k},
    {"top_p", &SamplingOptions::top_p},
    {"min_p", &SamplingOptions::min_p},
    {"typical_p", &SamplingOptions::typical_p},
    {"repetition_penalty", &SamplingOptions::repetition_penalty},
    {"presence_penalty", &SamplingOptions::presence_penalty},
    {"frequency_penalty", &SamplingOptions::frequency_penalty},
    {"penalty_window", &SamplingOptions::penalty_window},
    {"xtc_probability", &SamplingOptions::xtc_probability},
    {"xtc_threshold", &SamplingOptions::xtc_threshold},
    {"dry_multiplier", &SamplingOptions::dry_multiplier},
    {"dry_base", &SamplingOptions::dry_base},
    {"dry_allowed_length", &SamplingOptions::dry_allowed_length},
    {"dry_penalty_last_n", &SamplingOptions::dry_penalty_last_n},
    {"dry_sequence_breakers", &SamplingOptions::dry_sequence_breakers},
    {"logit_bias", &SamplingOptions::logit_bias},
    {"seed", &SamplingOptions::seed},
    {"choice", &SamplingOptions::choice},
});

constexpr auto kLimits = std::to_array<Field<AnswerLimits>>({
    {"max_tokens", &AnswerLimits::max_tokens},
    {"stop_ids", &AnswerLimits::stop_ids},
    {"stop", &AnswerLimits::stop_strings},
    {"min_tokens", &AnswerLimits::min_tokens},
    {"ignore_eos", &AnswerLimits::ignore_eos},
    {"include_stop_string", &AnswerLimits::include_stop_string},
    {"shown_ids", &AnswerLimits::shown_ids},
});

struct Anything {
  template <typename T>
  operator T() const;  // NOLINT(google-explicit-constructor): stands for any member's value; never called
};
/// Members of a struct without bases or constructors.
template <typename T, typename... Values>
constexpr std::size_t member_count() {
  if constexpr (requires { T{Values{}..., Anything{}}; })
    return member_count<T, Values..., Anything>();
  else
    return sizeof...(Values);
}
static_assert(member_count<SamplingOptions>() == kSampling.size(), "an option without a row in kSampling");
static_assert(member_count<AnswerLimits>() == kLimits.size(), "a limit without a row in kLimits");

Failure wrong(const JsonFields& fields, std::string_view key, std::string_view expected) {
  return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name(key), "\" must be ", expected));
}

Result<void> read_value(const JsonFields& fields, std::string_view key, double& value) {
  CORBEL_ASSIGN(value, fields.require_number(key));
  return {};
}

template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
Result<void> read_value(const JsonFields& fields, std::string_view key, T& value) {
  const Json& json = fields.json().at(std::string(key));
  const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                              : json.is_number_integer() && std::in_range<T>(json.get<std::int64_t>());
  if (!fits) return wrong(fields, key, cat("a whole number up to ", std::numeric_limits<T>::max()));
  value = json.get<T>();
  return {};
}

Result<void> read_value(const JsonFields& fields, std::string_view key, std::vector<std::int32_t>& value) {
  CORBEL_ASSIGN(const std::vector<std::int64_t> wide, fields.get_ints(key));
  for (const std::int64_t id : wide) {
    if (!std::in_range<std::int32_t>(id)) return wrong(fields, key, "token ids");
    value.push_back(static_cast<std::int32_t>(id));
  }
  return {};
}

Result<void> read_value(const JsonFields& fields, std::string_view key, std::vector<std::string>& value) {
  CORBEL_ASSIGN(value, fields.get_strings(key));
  return {};
}

Result<void> read_value(const JsonFields& fields, std::string_view key, bool& value) {
  const Json& json = fields.json().at(std::string(key));
  if (!json.is_boolean()) return wrong(fields, key, "true or false");
  value = json.get<bool>();
  return {};
}

Result<void> read_value(const JsonFields& fields, std::string_view key, std::vector<TokenBias>& value) {
  const Json& json = fields.json().at(std::string(key));
  if (!json.is_array()) return wrong(fields, key, "an array of pairs of a token id and a number");
  for (const Json& pair : json) {
    const bool fits = pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() && pair[1].is_number() &&
                      std::in_range<std::int32_t>(pair[0].get<std::int64_t>());
    if (!fits) return wrong(fields, key, "an array of pairs of a token id and a number");
    value.push_back({pair[0].get<std::int32_t>(), pair[1].get<float>()});
  }
  return {};
}

template <typename T>
Json value_json(const T& value) {
  return value;
}
Json value_json(const std::vector<TokenBias>& bias) {
  Json json = Json::array();
  for (const TokenBias& one : bias) json.push_back({one.id, one.bias});
  return json;
}

template <typename T>
Json write_all(const T& values, std::span<const Field<T>> table) {
  Json json = Json::object();
  for (const Field<T>& field : table)
    json[field.name] = std::visit([&](const auto member) { return value_json(values.*member); }, field.member);
  return json;
}

template <typename T>
Result<T> read_all(const JsonFields& fields, std::span<const Field<T>> table) {
  std::vector<std::string_view> known;
  for (const Field<T>& field : table) known.push_back(field.name);
  CORBEL_TRY(check_known_fields(fields, known));
  T values;
  for (const Field<T>& field : table) {
    if (!fields.has(field.name)) continue;
    CORBEL_TRY(
        std::visit([&](const auto member) { return read_value(fields, field.name, values.*member); }, field.member));
  }
  return values;
}

}  // namespace

Result<void> check_known_fields(const JsonFields& fields, std::span<const std::string_view> known) {
  if (!fields.json().is_object()) return fail(Code::bad_file, cat(fields.source(), " is no object"));
  for (const auto& [key, value] : fields.json().items()) {
    if (std::ranges::find(known, std::string_view(key)) != known.end()) continue;
    std::string names;
    for (const std::string_view name : known) names += cat(names.empty() ? "" : ", ", name);
    return fail(Code::bad_file,
                cat(fields.source(), ": ", quote(fields.field_name(key)), " is not known here; known: ", names));
  }
  return {};
}

Json sampling_json(const SamplingOptions& options) { return write_all<SamplingOptions>(options, kSampling); }

Result<SamplingOptions> read_sampling(const JsonFields& fields) {
  CORBEL_ASSIGN(SamplingOptions options, read_all<SamplingOptions>(fields, kSampling));
  options.sort_bias();
  if (const auto valid = options.validate(); !valid) return forward_failure(valid, fields.source());
  return options;
}

Json limits_json(const AnswerLimits& limits) { return write_all<AnswerLimits>(limits, kLimits); }

Result<AnswerLimits> read_limits(const JsonFields& fields) {
  CORBEL_ASSIGN(AnswerLimits limits, read_all<AnswerLimits>(fields, kLimits));
  if (const auto valid = limits.validate(); !valid) return forward_failure(valid, fields.source());
  return limits;
}

}  // namespace corbel
