#include "corbel/chat/chat_completion.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
constexpr std::size_t kMostStops = 64;

constexpr std::array<std::string_view, 12> kHonoured = {
    "model",      "messages", "temperature",           "top_p",   "top_k", "min_p", "seed", "repetition_penalty",
    "max_tokens", "stop",     "max_completion_tokens", "priority"};

/// A field that is accepted only with the value that asks for nothing.
struct Idle {
  std::string_view field;
  std::string_view value;  // JSON
};
constexpr std::array<Idle, 11> kIdle = {{{"n", "1"},
                                         {"stream", "false"},
                                         {"logprobs", "false"},
                                         {"top_logprobs", "0"},
                                         {"presence_penalty", "0"},
                                         {"frequency_penalty", "0"},
                                         {"logit_bias", "{}"},
                                         {"response_format", R"({"type":"text"})"},
                                         {"tools", "[]"},
                                         {"tool_choice", "\"none\""},
                                         {"store", "false"}}};
// Say something about the caller, not about the answer.
constexpr std::array<std::string_view, 3> kAboutCallers = {"user", "metadata", "safety_identifier"};

Result<void> check_fields(const Json& body) {
  for (const auto& [key, value] : body.items()) {
    if (value.is_null() || std::ranges::find(kHonoured, key) != kHonoured.end() ||
        std::ranges::find(kAboutCallers, key) != kAboutCallers.end())
      continue;
    const auto idle = std::ranges::find(kIdle, key, &Idle::field);
    if (idle == kIdle.end())
      return fail(Code::bad_request, cat("\"", clip(key), "\" is not a field that is known here"));
    if (value != Json::parse(idle->value))
      return fail(Code::bad_request,
                  cat("\"", key, "\" is ", clip(value.dump()), "; only ", idle->value, " is supported"));
  }
  return {};
}

Result<void> read_sampling(const JsonFields& fields, std::uint64_t seed, SamplingOptions& sampling) {
  CORBEL_ASSIGN(sampling.temperature, fields.get_number("temperature", sampling.temperature));
  CORBEL_ASSIGN(sampling.top_k, fields.get_int("top_k", sampling.top_k, 0, kMostTokens));
  CORBEL_ASSIGN(sampling.top_p, fields.get_number("top_p", sampling.top_p));
  CORBEL_ASSIGN(sampling.min_p, fields.get_number("min_p", sampling.min_p));
  CORBEL_ASSIGN(sampling.repetition_penalty, fields.get_number("repetition_penalty", sampling.repetition_penalty));
  constexpr std::int64_t kMostSeed = std::int64_t{1} << 62;
  const auto drawn = static_cast<std::int64_t>(seed & (kMostSeed - 1));
  CORBEL_ASSIGN(const std::int64_t chosen,
                fields.get_int("seed", sampling.temperature > 0.0 ? drawn : 0, -kMostSeed, kMostSeed));
  sampling.seed = static_cast<std::uint64_t>(chosen);
  return sampling.validate();
}

Result<void> read_limits(const JsonFields& fields, AnswerLimits& limits) {
  CORBEL_ASSIGN(const std::int64_t older, fields.get_int("max_tokens", limits.max_tokens, 1, kMostTokens));
  CORBEL_ASSIGN(limits.max_tokens, fields.get_int("max_completion_tokens", older, 1, kMostTokens));
  CORBEL_ASSIGN(limits.stop_strings, fields.get_strings("stop"));
  if (limits.stop_strings.size() > kMostStops)
    return fail(Code::bad_request, cat("\"stop\" has ", limits.stop_strings.size(), " texts; at most ", kMostStops));
  return {};
}

}  // namespace

Result<ChatCompletion> read_chat_completion(const Json& body, const ChatFormat& format,
                                            const GenerationDefaults& defaults, std::uint64_t seed) {
  const JsonFields fields(body, "body");
  ChatCompletion completion;
  CORBEL_ASSIGN(completion.model, fields.get_string("model", ""));
  CORBEL_TRY(check_fields(body));
  if (!fields.has("messages")) return fail(Code::bad_request, "\"messages\" is missing; it must be an array");
  EngineRequest& request = completion.request;
  const GenerateOptions options = generate_options(defaults);
  request.sampling = options.sampling;
  request.limits = options.limits();
  CORBEL_TRY(read_sampling(fields, seed, request.sampling));
  CORBEL_TRY(read_limits(fields, request.limits));
  CORBEL_ASSIGN(const std::int64_t priority, fields.get_int("priority", 0, -1000, 1000));
  request.priority = static_cast<std::int32_t>(priority);
  request.limits.stop_ids.insert(request.limits.stop_ids.end(), format.stop_ids().begin(), format.stop_ids().end());
  request.limits.stop_strings.insert(request.limits.stop_strings.end(), format.stop_strings().begin(),
                                     format.stop_strings().end());
  const ChatRequest chat{.messages = &body["messages"]};
  CORBEL_ASSIGN(request.prompt, format.encode(chat));
  CORBEL_TRY(options.check_prompt(std::ssize(request.prompt)));
  return completion;
}

Json chat_completion_json(const ChatCompletion& completion, const GenerateResult& result, const std::string& id,
                          const std::string& fingerprint) {
  const GenerateFigures& figures = result.figures;
  return {{"id", id},
          {"object", "chat.completion"},
          {"created", 0},
          {"model", completion.model},
          {"choices", Json::array({{{"index", 0},
                                    {"message", {{"role", "assistant"}, {"content", result.text}}},
                                    {"logprobs", nullptr},
                                    {"finish_reason", finish_reason_name(result.finish)}}})},
          {"usage",
           {{"prompt_tokens", figures.prompt_tokens},
            {"completion_tokens", figures.generated_tokens},
            {"total_tokens", figures.prompt_tokens + figures.generated_tokens}}},
          {"system_fingerprint", fingerprint}};
}

Json chat_error_json(const Error& error) {
  const bool theirs = error.code == Code::bad_request || error.code == Code::unsupported;
  return {{"error",
           {{"message", error.message},
            {"type", theirs ? "invalid_request_error" : "server_error"},
            {"param", nullptr},
            {"code", nullptr}}}};
}

}  // namespace corbel
