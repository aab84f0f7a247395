#include "corbel/chat/chat_completion.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/chat/call_grammar.h"
#include "corbel/chat/chat_messages.h"
#include "corbel/chat/history_calls.h"
#include "corbel/chat/response_format.h"

namespace corbel {
namespace {

constexpr std::size_t kPromptEnd = 512;  // bytes that tell what a prompt has opened

/// One request being read.
class CompletionReader {
 public:
  CompletionReader(const RequestFields& fields, const ChatModel& model, ChatCompletion& out)
      : fields_(fields), model_(model), out_(out) {}

  Result<void> read(std::uint64_t seed) {
    out_.warnings = fields_.warnings();
    CORBEL_TRY(read_tools());
    CORBEL_TRY(read_prompt());
    CORBEL_TRY(read_sampling_fields(fields_, model_, seed, out_.request));
    CORBEL_TRY(read_limits());
    CORBEL_TRY(read_logprobs());
    CORBEL_TRY(read_delivery_fields(fields_, out_));
    return read_constraint();
  }

 private:
  Result<void> read_tools();
  Result<void> read_prompt();
  Result<void> read_limits();
  Result<void> read_logprobs();
  Result<void> read_constraint();
  Result<std::string> render(const Json* tools, const Json* variables) const;
  Result<GrammarSource> grammar_of_calls() const;
  bool continues() const { return fields_.boolean("continue_final_message", false); }

  const RequestFields& fields_;
  const ChatModel& model_;
  ChatCompletion& out_;
  std::vector<ToolSpec> tools_;
  ToolChoice choice_;
};

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
  const ChatRequest chat{.messages = fields_.find("messages"),
                         .tools = tools,
                         .variables = variables,
                         .generation_prompt = fields_.boolean("add_generation_prompt", !continues()),
                         .continue_final = continues()};
  auto prompt = model_.format().render(chat);
  if (prompt || !refused_field(prompt.error().message).empty()) return prompt;
  return refuse_field("messages", cat("cannot be made into a prompt: ", prompt.error().message));
}

Result<void> CompletionReader::read_prompt() {
  if (!fields_.has("messages")) return refuse_field("messages", "is missing; it must be a list of messages");
  CORBEL_TRY(check_message_fields(*fields_.find("messages")));
  CORBEL_TRY(check_history_calls(*fields_.find("messages")));
  CORBEL_TRY(check_continuation(fields_));
  Json variables = Json::object();
  std::string_view named = "reasoning_effort";
  if (const Json* given = fields_.find("chat_template_kwargs"); given != nullptr) {
    variables = *given;
    named = "chat_template_kwargs";
    for (const char* own : {"messages", "tools", "add_generation_prompt"}) {
      if (variables.contains(own))
        return refuse_field(cat("chat_template_kwargs.", own), "is set by the request's own fields");
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
  if (!ids) return refuse_field("messages", cat("cannot be made into a prompt: ", ids.error().message));
  out_.request.prompt = *std::move(ids);
  out_.reading.prompt_end = prompt.substr(prompt.size() - std::min(prompt.size(), kPromptEnd));
  const auto fits = generate_options(model_.defaults()).check_prompt(std::ssize(out_.request.prompt));
  if (!fits) return refuse_field("messages", cat("is too long: ", fits.error().message));
  return {};
}

Result<void> CompletionReader::read_limits() {
  AnswerLimits& limits = out_.request.limits;
  limits.max_tokens = fields_.integer("max_tokens", generate_options(model_.defaults()).max_tokens);
  if (fields_.has("max_completion_tokens")) {
    const std::int64_t newer = fields_.integer("max_completion_tokens", 0);
    if (fields_.has("max_tokens") && newer != limits.max_tokens) {
      return refuse_field(
          "max_tokens", cat("is ", limits.max_tokens, " and \"max_completion_tokens\" ", newer, "; give one of them"));
    }
    limits.max_tokens = newer;
  }
  // Who names no number takes what the context has room for.
  out_.request.fills_context = !fields_.has("max_tokens") && !fields_.has("max_completion_tokens");
  CORBEL_TRY(read_limit_fields(fields_, model_, out_.request));
  limits.shown_ids.insert(limits.shown_ids.end(), model_.reasoning_ids().begin(), model_.reasoning_ids().end());
  if (out_.reading.reads_calls) {
    limits.shown_ids.insert(limits.shown_ids.end(), model_.call_ids().begin(), model_.call_ids().end());
  }
  const auto own = model_.format().stop_strings();
  limits.stop_strings.insert(limits.stop_strings.end(), own.begin(), own.end());
  return {};
}

Result<void> CompletionReader::read_logprobs() {
  out_.wants_logprobs = fields_.boolean("logprobs", false);
  const std::int64_t top = fields_.integer("top_logprobs", 0);
  if (top > 0 && !out_.wants_logprobs)
    return refuse_field("top_logprobs", cat("is ", top, ", but \"logprobs\" is not true"));
  if (out_.wants_logprobs) out_.request.logprobs = static_cast<std::int32_t>(top);
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
  if (continues()) {
    return refuse_field("continue_final_message",
                        cat("is true, but \"", path, "\" says what the whole answer looks like, not what ends one"));
  }
  return compile_constraint(fields_, model_, path, std::move(source), out_);
}

}  // namespace

Result<ChatCompletion> read_chat_completion(const Json& body, const ChatModel& model, std::uint64_t seed) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(body, Api::chat));
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
