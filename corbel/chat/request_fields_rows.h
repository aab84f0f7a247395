#pragma once
#include <initializer_list>
#include <string_view>
#include <vector>

#include "corbel/chat/request_fields.h"
#include "corbel/engine/logprobs.h"

/// How rows of the table of fields are written; only its sources include this.
namespace corbel::request_fields_rows {

using Type = FieldType;
using Use = RequestField::Use;

inline constexpr double kMostTokens = 1 << 24;
inline constexpr double kMostSeed = 9223372036854775807.0;
inline constexpr double kMostTop = static_cast<double>(kMostTopLogprobs);
inline constexpr std::string_view kVllm = "vLLM";
inline constexpr std::string_view kOurs = "Corbel";
inline constexpr std::string_view kAnthropic = "Anthropic";
inline constexpr std::string_view kModels = "the model's generation_config.json";

inline RequestField honoured(std::string_view name, Type type, std::string_view fallback, std::string_view meaning,
                             std::string_view from = "OpenAI") {
  return {.name = name, .type = type, .fallback = fallback, .meaning = meaning, .from = from};
}

inline RequestField ranged(RequestField field, double low, double high) {
  field.low = low;
  field.high = high;
  return field;
}

inline RequestField above(RequestField field, double low, double high) {
  field = ranged(field, low, high);
  field.low_is_open = true;
  return field;
}

inline RequestField used(Use use, RequestField field) {
  field.use = use;
  return field;
}

inline RequestField only(std::string_view name, Type type, std::string_view value, std::string_view meaning,
                         std::string_view from = "OpenAI") {
  return {.name = name, .type = type, .use = Use::only, .meaning = meaning, .from = from, .only = value};
}

inline RequestField of(RequestField field, std::initializer_list<Api> apis) {
  field.apis = 0;
  for (const Api api : apis) field.apis |= static_cast<std::uint16_t>(api);
  return field;
}

/// Of /v1/responses, /v1/messages, and what counts their tokens.
std::vector<RequestField> response_fields();
std::vector<RequestField> message_fields();

}  // namespace corbel::request_fields_rows
