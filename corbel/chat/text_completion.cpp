#include "corbel/chat/text_completion.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/chat/response_format.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxPrompts = 256;
constexpr std::int64_t kMaxAnswers = 1024;  // of all prompts together
constexpr std::int64_t kDefaultTokens = 16;

class TextCompletionReader {
 public:
  TextCompletionReader(const RequestFields& fields, const ChatModel& model, TextCompletion& out)
      : fields_(fields), model_(model), out_(out) {}

  Result<void> read(std::uint64_t seed) {
    out_.warnings = fields_.warnings();
    CORBEL_TRY(read_prompts());
    CORBEL_TRY(read_sampling_fields(fields_, model_, seed, out_.request));
    CORBEL_TRY(read_limits());
    CORBEL_TRY(read_delivery_fields(fields_, out_));
    CORBEL_TRY(read_choices());
    CORBEL_TRY(read_logprobs());
    CORBEL_ASSIGN(std::optional<StructuredContent> content, read_structured_content(fields_));
    if (!content) return {};
    return compile_constraint(fields_, model_, content->path, std::move(content->source), out_);
  }

 private:
  Result<void> read_prompts();
  Result<void> read_limits();
  Result<void> read_choices();
  Result<void> read_logprobs();

  const RequestFields& fields_;
  const ChatModel& model_;
  TextCompletion& out_;
};

Result<void> TextCompletionReader::read_prompts() {
  const Json* prompt = fields_.find("prompt");
  if (prompt == nullptr)
    return refuse_field("prompt", "is missing; it must be a text, or a list of texts or token ids");
  const bool special = fields_.boolean("add_special_tokens", true);
  CORBEL_ASSIGN(out_.prompts, read_token_lists(*prompt, "prompt", model_.tokenizer(), {kMaxPrompts, special}));
  for (const TokenList& one : out_.prompts) {
    const auto fits = generate_options(model_.defaults()).check_prompt(std::ssize(one.ids));
    if (!fits) return refuse_field("prompt", cat("is too long: ", fits.error().message));
  }
  return {};
}

Result<void> TextCompletionReader::read_limits() {
  out_.echoes = fields_.boolean("echo", false);
  std::int64_t tokens = fields_.integer("max_tokens", kDefaultTokens);
  if (tokens == 0) {
    if (!out_.echoes) return refuse_field("max_tokens", "is 0, and \"echo\" is not true: nothing would be answered");
    out_.prompt_alone = true;
    tokens = 1;  // the engine's least; it is not told
  }
  out_.request.limits.max_tokens = tokens;
  return read_limit_fields(fields_, model_, out_.request);
}

Result<void> TextCompletionReader::read_choices() {
  out_.told_choices = out_.request.choices;
  const std::int64_t made = fields_.integer("best_of", out_.told_choices);
  if (made < out_.told_choices)
    return refuse_field("best_of", cat("is ", made, ", less than the \"n\" of ", out_.told_choices));
  if (made > out_.told_choices && out_.wants_stream)
    return refuse_field(
        "best_of", cat("is ", made, ", more than \"n\": which answers are told shows at their end, not in a stream"));
  if (const std::int64_t all = made * std::ssize(out_.prompts); all > kMaxAnswers) {
    return refuse_field(made > 1 ? "n" : "prompt",
                        cat("asks for ", all, " answers with all prompts; at most ", kMaxAnswers));
  }
  out_.request.choices = static_cast<std::int32_t>(made);
  return {};
}

Result<void> TextCompletionReader::read_logprobs() {
  out_.logprobs = static_cast<std::int32_t>(fields_.integer("logprobs", -1));
  out_.wants_prompt_field = fields_.has("prompt_logprobs");
  EngineRequest& request = out_.request;
  request.logprobs = out_.ranks() ? std::max(out_.logprobs, 0) : out_.logprobs;
  if (!out_.echoes || out_.logprobs < 0) return {};
  if (out_.wants_stream) {
    return refuse_field(
        "logprobs", "is given with \"echo\" and \"stream\": the prompt's log-probabilities are not told in a stream");
  }
  request.prompt_logprobs = std::max(request.prompt_logprobs, out_.logprobs);
  return {};
}

}  // namespace

EngineRequest TextCompletion::request_of(std::size_t prompt) const {
  EngineRequest one = request;
  one.prompt = prompts[prompt].ids;
  return one;
}

Result<TextCompletion> read_text_completion(const Json& body, const ChatModel& model, std::uint64_t seed) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(body, Api::completions));
  TextCompletion completion;
  CORBEL_TRY(TextCompletionReader(fields, model, completion).read(seed));
  return completion;
}

}  // namespace corbel
