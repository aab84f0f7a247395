#include "corbel/chat/chat_completion.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/chat/call_grammar.h"
#include "corbel/chat/request_fields.h"
#include "corbel/chat/response_format.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxStops = 64;
constexpr std::size_t kMaxStopBytes = 4096;
constexpr std::size_t kMaxBiases = 4096;
constexpr std::size_t kPromptEnd = 512;  // bytes that tell what a prompt has opened

/// One request being read.
class CompletionReader {
 public:
  CompletionReader(const ChatFields& fields, const ChatModel& model, ChatCompletion& out)
      : fields_(fields), model_(model), out_(out) {}

  Result<void> read(std::uint64_t seed) {
    out_.model = fields_.text("model", "");
    out_.warnings = fields_.warnings();
    CORBEL_TRY(read_tools());
    CORBEL_TRY(read_prompt());
    CORBEL_TRY(read_sampling(seed));
    CORBEL_TRY(read_limits());
    CORBEL_TRY(read_delivery());
    return read_constraint();
  }

 private:
  Result<void> read_tools();
  Result<void> read_prompt();
  Result<void> read_sampling(std::uint64_t seed);
  Result<void> read_bias();
  Result<void> read_limits();
  Result<void> read_stops();
  Result<void> read_delivery();
  Result<void> read_constraint();
  Result<std::string> render(const Json* tools, const Json* variables) const;
  Result<GrammarSource> grammar_of_calls() const;

  const ChatFields& fields_;
  const ChatModel& model_;
  ChatCompletion& out_;
  std::vector<ToolSpec> tools_;
  ToolChoice choice_;
};

Failure refuse(std::string_view field, std::string_view why) {
  return fail(Code::bad_request, cat('"', field, "\" ", why));
}

Result<void> CompletionReader::read_tools() {
  const Json* listed = fields_.find("tools");
  if (listed != nullptr) {
    CORBEL_ASSIGN(tools_, corbel::read_tools(*listed));
  }
  const Json* choice = fields_.find("tool_choice");
  CORBEL_ASSIGN(choice_, read_tool_choice(choice == nullptr ? Json() : *choice, tools_));
  AnswerReading& reading = out_.reading;
  reading.format = &model_.answers();
  if (choice_.kind == ToolChoice::Kind::none || tools_.empty()) return {};
  reading.tools = *listed;
  reading.reads_calls = true;
  reading.one_call = !fields_.boolean("parallel_tool_calls", true);
  reading.needs_call = choice_.forces_a_call();
  if (choice_.forces_a_call()) return {};
  for (const ToolSpec& tool : tools_) {
    if (!tool.strict) continue;
    out_.warnings.push_back(cat('"', tool.path,
                                ".strict\" holds where \"tool_choice\" is \"required\" or names the tool; ",
                                "in an answer that may be a text, arguments are as the model writes them"));
  }
  return {};
}

Result<std::string> CompletionReader::render(const Json* tools, const Json* variables) const {
  const ChatRequest chat{.messages = fields_.find("messages"), .tools = tools, .variables = variables};
  auto prompt = model_.format().render(chat);
  if (prompt || !refused_field(prompt.error().message).empty()) return prompt;
  return refuse("messages", cat("cannot be made into a prompt: ", prompt.error().message));
}

Result<void> CompletionReader::read_prompt() {
  if (!fields_.has("messages")) return refuse("messages", "is missing; it must be a list of messages");
  Json variables = Json::object();
  std::string_view named = "reasoning_effort";
  if (const Json* given = fields_.find("chat_template_kwargs"); given != nullptr) {
    variables = *given;
    named = "chat_template_kwargs";
    for (const char* own : {"messages", "tools", "add_generation_prompt"}) {
      if (variables.contains(own))
        return refuse(cat("chat_template_kwargs.", own), "is set by the request's own fields");
    }
  }
  if (fields_.has("reasoning_effort")) variables["reasoning_effort"] = fields_.text("reasoning_effort", "");
  const Json* tools = out_.reading.tools.is_null() ? nullptr : &out_.reading.tools;
  CORBEL_ASSIGN(const std::string prompt, render(tools, &variables));
  const auto is_unread = [&](const Json* other_tools, const Json* other_variables) {
    const auto other = render(other_tools, other_variables);
    return other && *other == prompt;
  };
  if (tools != nullptr && is_unread(nullptr, &variables)) {
    out_.warnings.emplace_back(
        "\"tools\" is left out of the prompt by the model's chat template: the model does not see them");
  }
  if (!variables.empty() && is_unread(tools, nullptr)) {
    out_.warnings.push_back(cat('"', named, "\" changes nothing: the model's chat template does not read it"));
  }
  auto ids = model_.format().encode_prompt(prompt);
  if (!ids) return refuse("messages", cat("cannot be made into a prompt: ", ids.error().message));
  out_.request.prompt = *std::move(ids);
  out_.reading.prompt_end = prompt.substr(prompt.size() - std::min(prompt.size(), kPromptEnd));
  const auto fits = generate_options(model_.defaults()).check_prompt(std::ssize(out_.request.prompt));
  if (!fits) return refuse("messages", cat("is too long: ", fits.error().message));
  return {};
}

Result<void> CompletionReader::read_sampling(std::uint64_t seed) {
  SamplingOptions& sampling = out_.request.sampling;
  sampling = generate_options(model_.defaults()).sampling;
  sampling.temperature = fields_.number("temperature", sampling.temperature);
  sampling.top_k = std::max<std::int64_t>(fields_.integer("top_k", sampling.top_k), 0);
  sampling.top_p = fields_.number("top_p", sampling.top_p);
  sampling.min_p = fields_.number("min_p", sampling.min_p);
  sampling.typical_p = fields_.number("typical_p", sampling.typical_p);
  sampling.repetition_penalty = fields_.number("repetition_penalty", sampling.repetition_penalty);
  sampling.presence_penalty = fields_.number("presence_penalty", sampling.presence_penalty);
  sampling.frequency_penalty = fields_.number("frequency_penalty", sampling.frequency_penalty);
  sampling.penalty_window = fields_.integer("penalty_window", sampling.penalty_window);
  sampling.xtc_probability = fields_.number("xtc_probability", sampling.xtc_probability);
  sampling.xtc_threshold = fields_.number("xtc_threshold", sampling.xtc_threshold);
  const bool draws = sampling.temperature > 0.0;
  sampling.seed = static_cast<std::uint64_t>(fields_.integer("seed", draws ? static_cast<std::int64_t>(seed) : 0));
  out_.request.choices = static_cast<std::int32_t>(fields_.integer("n", 1));
  CORBEL_TRY(read_bias());
  const auto valid = sampling.validate();
  // Only a model's own defaults can still be out of range: the request's were checked.
  return valid ? Result<void>() : Result<void>(forward_failure(valid, "the model's generation_config.json"));
}

Result<void> CompletionReader::read_bias() {
  const Json* biases = fields_.find("logit_bias");
  if (biases == nullptr) return {};
  if (biases->size() > kMaxBiases)
    return refuse("logit_bias", cat("has ", biases->size(), " entries; at most ", kMaxBiases));
  for (const auto& [key, value] : biases->items()) {
    std::int32_t id = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || id < 0 || !model_.tokenizer().has(id)) {
      return refuse("logit_bias", cat("has the key ", quote(key), "; keys are token ids from 0 to ",
                                      model_.tokenizer().vocab_size() - 1));
    }
    const double bias = value.is_number() ? value.get<double>() : 1000.0;
    if (!(bias >= -100.0 && bias <= 100.0)) {
      return refuse(cat("logit_bias.", id), cat("is ", found_value(value), "; it must be between -100 and 100"));
    }
    out_.request.sampling.logit_bias.push_back({id, static_cast<float>(bias)});
  }
  out_.request.sampling.sort_bias();
  return {};
}

Result<void> CompletionReader::read_limits() {
  AnswerLimits& limits = out_.request.limits;
  const AnswerLimits defaults = generate_options(model_.defaults()).limits();
  limits.max_tokens = fields_.integer("max_tokens", defaults.max_tokens);
  if (fields_.has("max_completion_tokens")) {
    const std::int64_t newer = fields_.integer("max_completion_tokens", 0);
    if (fields_.has("max_tokens") && newer != limits.max_tokens) {
      return refuse("max_tokens",
                    cat("is ", limits.max_tokens, " and \"max_completion_tokens\" ", newer, "; give one of them"));
    }
    limits.max_tokens = newer;
  }
  // Who names no number takes what the context has room for.
  out_.request.fills_context = !fields_.has("max_tokens") && !fields_.has("max_completion_tokens");
  limits.min_tokens = fields_.integer("min_tokens", 0);
  if (limits.max_tokens > 0 && limits.min_tokens > limits.max_tokens) {
    return refuse("min_tokens",
                  cat("is ", limits.min_tokens, ", more than the answer's ", limits.max_tokens, " at most"));
  }
  out_.request.priority = static_cast<std::int32_t>(fields_.integer("priority", 0));
  out_.request.prefix_salt = fields_.text("cache_salt", "");
  if (!fields_.boolean("ignore_eos", false)) limits.stop_ids = model_.stop_ids();
  limits.include_stop_string = fields_.boolean("include_stop_str_in_output", false);
  limits.shown_ids = model_.reasoning_ids();
  if (out_.reading.reads_calls) {
    limits.shown_ids.insert(limits.shown_ids.end(), model_.call_ids().begin(), model_.call_ids().end());
  }
  return read_stops();
}

Result<void> CompletionReader::read_stops() {
  AnswerLimits& limits = out_.request.limits;
  if (const Json* stop = fields_.find("stop"); stop != nullptr) {
    const Json list = stop->is_array() ? *stop : Json::array({*stop});
    if (list.size() > kMaxStops) return refuse("stop", cat("has ", list.size(), " texts; at most ", kMaxStops));
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = stop->is_array() ? cat("stop[", i, "]") : "stop";
      if (!list[i].is_string()) return refuse(path, cat("must be a string, found ", found_value(list[i])));
      std::string text = list[i].get<std::string>();
      if (text.empty() || text.size() > kMaxStopBytes) {
        return refuse(path, cat("has ", text.size(), " bytes; it must have 1 to ", kMaxStopBytes));
      }
      limits.stop_strings.push_back(std::move(text));
    }
  }
  if (const Json* ids = fields_.find("stop_token_ids"); ids != nullptr) {
    if (ids->size() > kMaxStops) return refuse("stop_token_ids", cat("has ", ids->size(), " ids; at most ", kMaxStops));
    for (std::size_t i = 0; i < ids->size(); ++i) {
      const Json& id = (*ids)[i];
      const bool good = id.is_number_integer() && id >= 0 && id < model_.tokenizer().vocab_size();
      if (!good) return refuse(cat("stop_token_ids[", i, "]"), cat("is ", found_value(id), "; it must be a token id"));
      limits.stop_ids.push_back(id.get<std::int32_t>());
    }
  }
  const auto own = model_.format().stop_strings();
  limits.stop_strings.insert(limits.stop_strings.end(), own.begin(), own.end());
  return {};
}

Result<void> CompletionReader::read_delivery() {
  out_.wants_logprobs = fields_.boolean("logprobs", false);
  const std::int64_t top = fields_.integer("top_logprobs", 0);
  if (top > 0 && !out_.wants_logprobs) return refuse("top_logprobs", cat("is ", top, ", but \"logprobs\" is not true"));
  if (out_.wants_logprobs) out_.request.logprobs = static_cast<std::int32_t>(top);
  out_.wants_stream = fields_.boolean("stream", false);
  const Json* options = fields_.find("stream_options");
  if (options == nullptr || options->empty()) return {};
  if (!out_.wants_stream) return refuse("stream_options", "is given, but \"stream\" is not true");
  const RequestReader reader(*options, "stream_options");
  CORBEL_TRY(reader.check_known({"include_usage", "include_obfuscation"}));
  CORBEL_ASSIGN(out_.wants_usage, reader.boolean("include_usage", false));
  CORBEL_ASSIGN(const bool obfuscates, reader.boolean("include_obfuscation", false));
  if (obfuscates) return reader.refuse("include_obfuscation", "is true; pieces are not padded here");
  return {};
}

Result<GrammarSource> CompletionReader::grammar_of_calls() const {
  std::vector<const ToolSpec*> wanted;
  for (const ToolSpec& tool : tools_) {
    if (choice_.kind != ToolChoice::Kind::named || tool.name == choice_.name) wanted.push_back(&tool);
  }
  const bool one = out_.reading.one_call || choice_.kind == ToolChoice::Kind::named;
  CORBEL_ASSIGN(GrammarSource calls,
                calls_grammar(model_.answers(), wanted, one ? CallCount::one : CallCount::one_or_more));
  return answer_grammar(model_.answers(), {out_.reading.prompt_end, model_.thinks(), true}, std::move(calls));
}

Result<void> CompletionReader::read_constraint() {
  CORBEL_ASSIGN(std::optional<StructuredContent> content, read_structured_content(fields_));
  std::string path = content ? content->path : "tools";
  GrammarSource source;
  if (choice_.forces_a_call()) {
    if (content) {
      out_.warnings.push_back(cat('"', path, "\" holds for an answer that is a text; \"tool_choice\" demands a call"));
    }
    path = "tools";
    CORBEL_ASSIGN(source, grammar_of_calls());
  } else if (content) {
    source =
        answer_grammar(model_.answers(), {out_.reading.prompt_end, model_.thinks(), false}, std::move(content->source));
    if (out_.reading.reads_calls) {
      CORBEL_ASSIGN(GrammarSource calls, grammar_of_calls());
      source = GrammarSource::any_of({std::move(source), std::move(calls)});
      path += "\" or \"tools";
    }
  } else {
    return {};
  }
  if (fields_.boolean("ignore_eos", false))
    return refuse("ignore_eos", "is true; an answer whose form is given ends with it");
  auto constraint = model_.constraints().compile(source);
  if (!constraint) return refuse(path, cat("cannot be kept: ", constraint.error().message));
  out_.request.constraint = *std::move(constraint);
  return {};
}

}  // namespace

Result<ChatCompletion> read_chat_completion(const Json& body, const ChatModel& model, std::uint64_t seed) {
  CORBEL_ASSIGN(const ChatFields fields, ChatFields::make(body));
  ChatCompletion completion;
  CORBEL_TRY(CompletionReader(fields, model, completion).read(seed));
  return completion;
}

Json chat_error_json(const Error& error) {
  const bool theirs = error.code == Code::bad_request || error.code == Code::unsupported;
  const std::string_view field = theirs ? refused_field(error.message) : std::string_view();
  return {{"error",
           {{"message", error.message},
            {"type", theirs ? "invalid_request_error" : "server_error"},
            {"param", field.empty() ? Json() : Json(field)},
            {"code", nullptr}}}};
}

}  // namespace corbel
