#include "corbel/chat/request_fields.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

using Type = FieldType;
using Use = RequestField::Use;

constexpr double kMostTokens = 1 << 24;
constexpr double kMostSeed = 9223372036854775807.0;
constexpr std::string_view kVllm = "vLLM";
constexpr std::string_view kModels = "the model's generation_config.json";

RequestField honoured(std::string_view name, Type type, std::string_view fallback, std::string_view meaning,
                      std::string_view from = "OpenAI") {
  return {.name = name, .type = type, .fallback = fallback, .meaning = meaning, .from = from};
}

RequestField ranged(RequestField field, double low, double high) {
  field.low = low;
  field.high = high;
  return field;
}

RequestField above(RequestField field, double low, double high) {
  field = ranged(field, low, high);
  field.low_is_open = true;
  return field;
}

RequestField used(Use use, RequestField field) {
  field.use = use;
  return field;
}

RequestField only(std::string_view name, Type type, std::string_view value, std::string_view meaning,
                  std::string_view from = "OpenAI") {
  return {.name = name, .type = type, .use = Use::only, .meaning = meaning, .from = from, .only = value};
}

std::vector<RequestField> sampling_fields() {
  return {
      ranged(honoured("temperature", Type::number, kModels, "divides the logits; 0: always the likeliest token"), 0, 2),
      above(honoured("top_p", Type::number, kModels, "the fewest tokens whose probabilities add up to this"), 0, 1),
      ranged(honoured("top_k", Type::integer, kModels, "so many of the likeliest tokens; 0 or -1: all", kVllm), -1,
             kMostTokens),
      ranged(honoured("min_p", Type::number, "0", "tokens at least this fraction as likely as the likeliest", kVllm), 0,
             1),
      above(honoured("typical_p", Type::number, "1", "tokens of about average surprise that add up to this", "others"),
            0, 1),
      ranged(honoured("presence_penalty", Type::number, "0", "taken from the logits of tokens that the answer has"), -2,
             2),
      ranged(honoured("frequency_penalty", Type::number, "0", "the same, once for each time that the answer has them"),
             -2, 2),
      ranged(honoured("repetition_penalty", Type::number, kModels,
                      "divides positive and multiplies negative logits of tokens of prompt and answer", kVllm),
             0.01, 100),
      ranged(honoured("penalty_window", Type::integer, "0", "penalties see so many of the latest tokens; 0: all",
                      "Corbel"),
             0, kMostTokens),
      ranged(honoured("xtc_probability", Type::number, "0",
                      "how often all but the least likely of the likely tokens go", "others"),
             0, 1),
      above(honoured("xtc_threshold", Type::number, "0.1", "tokens that reach it are likely ones", "others"), 0, 1),
      honoured("logit_bias", Type::object, "{}",
               "token ids as texts, each with a number from -100 to 100 that is added"),
      ranged(honoured("seed", Type::integer, "drawn; in a batch from custom_id", "of the numbers that draw tokens"),
             -kMostSeed, kMostSeed),
      ranged(honoured("n", Type::integer, "1", "answers to the prompt, which is run once"), 1, 128),
      honoured("logprobs", Type::boolean, "false", "with the answer the log-probability of each of its tokens"),
      ranged(honoured("top_logprobs", Type::integer, "0", "and of so many of the likeliest ones; needs logprobs"), 0,
             20),
  };
}

std::vector<RequestField> limit_fields() {
  return {
      ranged(honoured("max_completion_tokens", Type::integer, kModels, "most tokens of an answer"), 1, kMostTokens),
      ranged(honoured("max_tokens", Type::integer, "max_completion_tokens", "its older name; both: the same number"), 1,
             kMostTokens),
      ranged(honoured("min_tokens", Type::integer, "0", "tokens before the answer may end by itself", kVllm), 0,
             kMostTokens),
      honoured("stop", Type::text_or_list, "[]", "texts that end an answer and are not part of it; up to 64"),
      honoured("stop_token_ids", Type::list, "[]", "ids that do the same; up to 64", kVllm),
      honoured("include_stop_str_in_output", Type::boolean, "false", "a text that ends an answer is part of it", kVllm),
      honoured("ignore_eos", Type::boolean, "false", "the model's own ends do not end the answer", kVllm),
      ranged(honoured("priority", Type::integer, "0", "requests with a higher one go first",
                      "vLLM, which has it upside down"),
             -1000, 1000),
      honoured("cache_salt", Type::text, "\"\"", "prompts share work only with those of the same salt", kVllm),
  };
}

std::vector<RequestField> structure_fields() {
  constexpr std::string_view kOlder = "vLLM (older)";
  return {
      honoured(
          "response_format", Type::object, R"({"type": "text"})",
          "text, json_object, or json_schema with {name, description, schema, strict}; strict or not, it always holds"),
      honoured("structured_outputs", Type::object, "null", "one of json, regex, choice, json_object", kVllm),
      honoured("guided_json", Type::text_or_object, "null", "a JSON schema", kOlder),
      honoured("guided_regex", Type::text, "null", "a regular expression that all of the answer matches", kOlder),
      honoured("guided_choice", Type::list, "null", "texts of which the answer is one", kOlder),
      honoured("tools", Type::list, "[]", "functions that the model may call; up to 128"),
      honoured("tool_choice", Type::text_or_object, "\"auto\" with tools", "none, auto, required, or one by its name"),
      honoured("parallel_tool_calls", Type::boolean, "true", "false: at most one call in an answer"),
  };
}

std::vector<RequestField> other_fields() {
  return {
      honoured("model", Type::text, "the one that is served", "the model's name"),
      honoured("messages", Type::list, "", "the conversation; at least one message"),
      honoured("stream", Type::boolean, "false", "the answer in pieces as it comes"),
      honoured("stream_options", Type::object, "{}", "include_usage: a last piece with the usage; needs stream"),
      honoured("chat_template_kwargs", Type::object, "{}",
               "variables of the model's chat template: enable_thinking, ...", kVllm),
      honoured("reasoning_effort", Type::text, "null", "the same, by this name"),
      used(Use::about_caller, honoured("user", Type::text, "null", "who asks")),
      used(Use::about_caller, honoured("safety_identifier", Type::text, "null", "who asks")),
      used(Use::about_caller,
           honoured("prompt_cache_key", Type::text, "null", "who asks; equal beginnings are found anyway")),
      used(Use::about_caller, honoured("metadata", Type::object, "{}", "what the caller notes")),
      used(Use::warned, honoured("service_tier", Type::text, "\"auto\"", "there is one tier")),
      used(Use::warned, honoured("store", Type::boolean, "false", "nothing is stored")),
      used(Use::warned, honoured("verbosity", Type::text, "null", "the prompt says how long an answer should be")),
      used(Use::warned,
           honoured("prediction", Type::object, "null", "drafts are taken from the prompt and the answer")),
      only("modalities", Type::list, R"(["text"])", "what an answer consists of"),
      only("best_of", Type::integer, "1", "use n", kVllm),
      only("use_beam_search", Type::boolean, "false", "there is none", kVllm),
      only("echo", Type::boolean, "false", "an answer does not repeat its prompt", kVllm),
      only("skip_special_tokens", Type::boolean, "true", "texts have none but markers of thoughts and calls", kVllm),
      only("add_generation_prompt", Type::boolean, "true", "an answer is opened as the template says", kVllm),
      only("continue_final_message", Type::boolean, "false", "an answer is a message of its own", kVllm),
      only("functions", Type::list, "[]", "use tools"),
      only("function_call", Type::text_or_object, R"("none" | "auto")", "use tool_choice"),
  };
}

std::vector<RequestField> make_table() {
  std::vector<RequestField> table = other_fields();
  for (const auto& part : {sampling_fields(), limit_fields(), structure_fields()}) {
    table.insert(table.end(), part.begin(), part.end());
  }
  std::ranges::stable_sort(table, {}, &RequestField::name);
  return table;
}

bool has_type(const Json& value, Type type) {
  switch (type) {
    case Type::boolean: return value.is_boolean();
    case Type::integer:
      return value.is_number_integer() && !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX);
    case Type::number: return value.is_number() && std::isfinite(value.get<double>());
    case Type::text: return value.is_string();
    case Type::list: return value.is_array();
    case Type::object: return value.is_object();
    case Type::text_or_list: return value.is_string() || value.is_array();
    case Type::text_or_object: return value.is_string() || value.is_object();
  }
  return false;
}

std::string range_text(const RequestField& field) {
  if (field.type == Type::integer) {
    if (field.high == kMostSeed) return "a whole number of 64 bits";
    return cat("a whole number from ", static_cast<std::int64_t>(field.low), " to ",
               static_cast<std::int64_t>(field.high));
  }
  if (field.low_is_open) return cat("above ", field.low, " and at most ", field.high);
  return cat("between ", field.low, " and ", field.high);
}

bool in_range(const RequestField& field, double value) {
  return (field.low_is_open ? value > field.low : value >= field.low) && value <= field.high;
}

Result<void> check_field(const RequestField& field, const Json& value) {
  const auto refuse = [&](std::string_view why) { return fail(Code::bad_request, cat('"', field.name, "\" ", why)); };
  const bool is_ranged = field.low < field.high;
  if (!has_type(value, field.type)) {
    return refuse(cat("is ", found_value(value), "; it must be ",
                      is_ranged ? range_text(field) : std::string(field_type_name(field.type))));
  }
  if (is_ranged && !in_range(field, value.get<double>())) {
    return refuse(cat("is ", found_value(value), "; it must be ", range_text(field)));
  }
  if (field.use != Use::only) return {};
  std::string_view left = field.only;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(" | "), left.size());
    if (value == Json::parse(left.substr(0, end))) return {};
    left.remove_prefix(std::min(end + 3, left.size()));
  }
  return refuse(cat("is ", found_value(value), "; only ", field.only, " is supported: ", field.meaning));
}

}  // namespace

std::string_view field_type_name(FieldType type) {
  switch (type) {
    case Type::boolean: return "true or false";
    case Type::integer: return "a whole number";
    case Type::number: return "a number";
    case Type::text: return "a string";
    case Type::list: return "a list";
    case Type::object: return "an object";
    case Type::text_or_list: return "a string or a list";
    case Type::text_or_object: return "a string or an object";
  }
  return "?";
}

std::span<const RequestField> chat_fields() {
  static const std::vector<RequestField> kTable = make_table();
  return kTable;
}

Result<ChatFields> ChatFields::make(const Json& body) {
  ChatFields fields(body);
  CORBEL_TRY(fields.reader_.check_object());
  for (const auto& [key, value] : body.items()) {
    if (value.is_null()) continue;
    const auto field = std::ranges::find(chat_fields(), key, &RequestField::name);
    if (field == chat_fields().end())
      return fields.reader_.refuse(key, "is not a field that is known here (docs/api_fields.md)");
    CORBEL_TRY(check_field(*field, value));
  }
  return fields;
}

const Json* ChatFields::find(std::string_view name) const {
  CORBEL_CHECK(std::ranges::find(chat_fields(), name, &RequestField::name) != chat_fields().end(), "no field ", name);
  return reader_.find(name);
}

double ChatFields::number(std::string_view name, double fallback) const {
  const Json* value = find(name);
  return value == nullptr ? fallback : value->get<double>();
}

std::int64_t ChatFields::integer(std::string_view name, std::int64_t fallback) const {
  const Json* value = find(name);
  return value == nullptr ? fallback : value->get<std::int64_t>();
}

bool ChatFields::boolean(std::string_view name, bool fallback) const {
  const Json* value = find(name);
  return value == nullptr ? fallback : value->get<bool>();
}

std::string ChatFields::text(std::string_view name, std::string_view fallback) const {
  const Json* value = find(name);
  return value == nullptr ? std::string(fallback) : value->get<std::string>();
}

std::vector<std::string> ChatFields::warnings() const {
  std::vector<std::string> texts;
  for (const RequestField& field : chat_fields()) {
    const Json* value = field.use == Use::warned ? find(field.name) : nullptr;
    if (value == nullptr || *value == false || *value == "auto" || *value == "default") continue;
    texts.push_back(cat('"', field.name, "\" changes nothing: ", field.meaning));
  }
  return texts;
}

}  // namespace corbel
