#include "corbel/chat/request_options.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxStops = 64;
constexpr std::size_t kMaxStopBytes = 4096;
constexpr std::size_t kMaxBiases = 4096;

Result<void> read_bias(const Json& biases, const Tokenizer& tokenizer, SamplingOptions& sampling) {
  if (biases.size() > kMaxBiases)
    return refuse_field("logit_bias", cat("has ", biases.size(), " entries; at most ", kMaxBiases));
  for (const auto& [key, value] : biases.items()) {
    std::int32_t id = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || id < 0 || !tokenizer.has(id)) {
      return refuse_field(
          "logit_bias", cat("has the key ", quote(key), "; keys are token ids from 0 to ", tokenizer.vocab_size() - 1));
    }
    const double bias = value.is_number() ? value.get<double>() : 1000.0;
    if (!(bias >= -100.0 && bias <= 100.0)) {
      return refuse_field(cat("logit_bias.", id), cat("is ", found_value(value), "; it must be between -100 and 100"));
    }
    sampling.logit_bias.push_back({id, static_cast<float>(bias)});
  }
  sampling.sort_bias();
  return {};
}

Result<void> read_breakers(const Json& breakers, SamplingOptions& sampling) {
  constexpr std::size_t kMostBreakers = 64;
  constexpr std::size_t kMostBytes = 64;
  if (breakers.size() > kMostBreakers)
    return refuse_field("dry_sequence_breakers", cat("has ", breakers.size(), " texts; at most ", kMostBreakers));
  sampling.dry_sequence_breakers.clear();
  for (std::size_t i = 0; i < breakers.size(); ++i) {
    const std::string path = cat("dry_sequence_breakers[", i, "]");
    if (!breakers[i].is_string()) return refuse_field(path, cat("must be a string, found ", found_value(breakers[i])));
    std::string text = breakers[i].get<std::string>();
    if (text.empty() || text.size() > kMostBytes)
      return refuse_field(path, cat("has ", text.size(), " bytes; it must have 1 to ", kMostBytes));
    sampling.dry_sequence_breakers.push_back(std::move(text));
  }
  return {};
}

Result<void> read_stop_texts(const Json& stop, AnswerLimits& limits) {
  const Json list = stop.is_array() ? stop : Json::array({stop});
  if (list.size() > kMaxStops) return refuse_field("stop", cat("has ", list.size(), " texts; at most ", kMaxStops));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = stop.is_array() ? cat("stop[", i, "]") : "stop";
    if (!list[i].is_string()) return refuse_field(path, cat("must be a string, found ", found_value(list[i])));
    std::string text = list[i].get<std::string>();
    if (text.empty() || text.size() > kMaxStopBytes) {
      return refuse_field(path, cat("has ", text.size(), " bytes; it must have 1 to ", kMaxStopBytes));
    }
    limits.stop_strings.push_back(std::move(text));
  }
  return {};
}

Result<void> read_stop_ids(const Json& ids, const Tokenizer& tokenizer, AnswerLimits& limits) {
  if (ids.size() > kMaxStops)
    return refuse_field("stop_token_ids", cat("has ", ids.size(), " ids; at most ", kMaxStops));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool good = ids[i].is_number_integer() && ids[i] >= 0 && ids[i] < tokenizer.vocab_size();
    if (!good)
      return refuse_field(cat("stop_token_ids[", i, "]"), cat("is ", found_value(ids[i]), "; it must be a token id"));
    limits.stop_ids.push_back(ids[i].get<std::int32_t>());
  }
  return {};
}

}  // namespace

Failure refuse_field(std::string_view field, std::string_view why) {
  return fail(Code::bad_request, cat('"', field, "\" ", why));
}

Result<void> check_continuation(const RequestFields& fields) {
  if (!fields.boolean("continue_final_message", false) || !fields.boolean("add_generation_prompt", false)) return {};
  return refuse_field("continue_final_message",
                      "is true, and so is \"add_generation_prompt\": an answer goes on with a message or is a new one");
}

Result<void> read_sampling_fields(const RequestFields& fields, const ChatModel& model, std::uint64_t seed,
                                  EngineRequest& request) {
  SamplingOptions& sampling = request.sampling;
  sampling = generate_options(model.defaults()).sampling;
  sampling.temperature = fields.number("temperature", sampling.temperature);
  sampling.top_k = std::max<std::int64_t>(fields.integer("top_k", sampling.top_k), 0);
  sampling.top_p = fields.number("top_p", sampling.top_p);
  sampling.min_p = fields.number("min_p", sampling.min_p);
  sampling.typical_p = fields.number("typical_p", sampling.typical_p);
  sampling.repetition_penalty = fields.number("repetition_penalty", sampling.repetition_penalty);
  sampling.presence_penalty = fields.number("presence_penalty", sampling.presence_penalty);
  sampling.frequency_penalty = fields.number("frequency_penalty", sampling.frequency_penalty);
  sampling.penalty_window = fields.integer("penalty_window", sampling.penalty_window);
  sampling.xtc_probability = fields.number("xtc_probability", sampling.xtc_probability);
  sampling.xtc_threshold = fields.number("xtc_threshold", sampling.xtc_threshold);
  sampling.dry_multiplier = fields.number("dry_multiplier", sampling.dry_multiplier);
  sampling.dry_base = fields.number("dry_base", sampling.dry_base);
  sampling.dry_allowed_length = fields.integer("dry_allowed_length", sampling.dry_allowed_length);
  sampling.dry_penalty_last_n = fields.integer("dry_penalty_last_n", sampling.dry_penalty_last_n);
  if (const Json* breakers = fields.find("dry_sequence_breakers"); breakers != nullptr)
    CORBEL_TRY(read_breakers(*breakers, sampling));
  const bool draws = sampling.temperature > 0.0;
  sampling.seed = static_cast<std::uint64_t>(fields.integer("seed", draws ? static_cast<std::int64_t>(seed) : 0));
  request.choices = static_cast<std::int32_t>(fields.integer("n", 1));
  if (const Json* biases = fields.find("logit_bias"); biases != nullptr)
    CORBEL_TRY(read_bias(*biases, model.tokenizer(), sampling));
  const auto valid = sampling.validate();
  // Only a model's own defaults can still be out of range: the request's were checked.
  return valid ? Result<void>() : Result<void>(forward_failure(valid, "the model's generation_config.json"));
}

Result<void> read_limit_fields(const RequestFields& fields, const ChatModel& model, EngineRequest& request) {
  AnswerLimits& limits = request.limits;
  limits.min_tokens = fields.integer("min_tokens", 0);
  if (limits.max_tokens > 0 && limits.min_tokens > limits.max_tokens) {
    return refuse_field("min_tokens",
                        cat("is ", limits.min_tokens, ", more than the answer's ", limits.max_tokens, " at most"));
  }
  request.priority = static_cast<std::int32_t>(fields.integer("priority", 0));
  request.prefix_salt = fields.text("cache_salt", "");
  if (!fields.boolean("ignore_eos", false)) limits.stop_ids = model.stop_ids();
  limits.include_stop_string = fields.boolean("include_stop_str_in_output", false);
  if (!fields.boolean("skip_special_tokens", true)) {
    const auto specials = model.tokenizer().special_ids();
    limits.shown_ids.assign(specials.begin(), specials.end());
  }
  if (const Json* stop = fields.find("stop"); stop != nullptr) CORBEL_TRY(read_stop_texts(*stop, limits));
  if (const Json* ids = fields.find("stop_token_ids"); ids != nullptr)
    CORBEL_TRY(read_stop_ids(*ids, model.tokenizer(), limits));
  return {};
}

Result<void> read_delivery_fields(const RequestFields& fields, AnswerRequest& wanted) {
  wanted.model = fields.text("model", "");
  wanted.wants_receipt = fields.boolean("return_receipt", false);
  wanted.wants_stream = fields.boolean("stream", false);
  wanted.request.prompt_logprobs = static_cast<std::int32_t>(fields.integer("prompt_logprobs", -1));
  if (wanted.wants_stream && fields.has("prompt_logprobs"))
    return refuse_field("prompt_logprobs", "is given, but \"stream\" is true: a stream does not tell them");
  const Json* options = fields.find("stream_options");
  if (options == nullptr || options->empty()) return {};
  if (!wanted.wants_stream) return refuse_field("stream_options", "is given, but \"stream\" is not true");
  const RequestReader reader(*options, "stream_options");
  CORBEL_TRY(reader.check_known({"include_usage", "include_obfuscation"}));
  CORBEL_ASSIGN(wanted.wants_usage, reader.boolean("include_usage", false));
  CORBEL_ASSIGN(const bool obfuscates, reader.boolean("include_obfuscation", false));
  if (obfuscates) return reader.refuse("include_obfuscation", "is true; pieces are not padded here");
  return {};
}

Result<void> compile_constraint(const RequestFields& fields, const ChatModel& model, const std::string& path,
                                GrammarSource source, AnswerRequest& wanted) {
  if (fields.boolean("ignore_eos", false))
    return refuse_field("ignore_eos", "is true; an answer whose form is given ends with it");
  auto compiled = model.constraints().compile(source);
  if (!compiled) return refuse_field(path, cat("cannot be kept: ", compiled.error().message));
  wanted.request.constraint = *std::move(compiled);
  wanted.constraint = ConstraintSource{.grammar = std::move(source), .options = {}, .end_ids = model.stop_ids()};
  return {};
}

}  // namespace corbel
