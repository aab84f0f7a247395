#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "corbel/chat/answer_receipt.h"
#include "corbel/chat/text_completion.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

/// Best first: by the mean of its tokens' log-probabilities.
std::vector<std::size_t> ranked(const PromptResults& results) {
  const auto mean = [&](std::size_t index) {
    double sum = 0.0;
    for (const AnswerLogprobs& one : results[index].logprobs) sum += static_cast<double>(one.chosen.logprob);
    return sum / static_cast<double>(std::max<std::size_t>(results[index].logprobs.size(), 1));
  };
  std::vector<std::size_t> order(results.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), mean);
  return order;
}

/// Of the prompt where it is echoed, then of the answer.
Json columns_of(const TextCompletion& completion, const Tokenizer& tokenizer, std::size_t prompt,
                const PromptResults& results, const GenerateResult& result) {
  TokenColumns columns(tokenizer, 0);
  // As many as "logprobs" asks for, where "prompt_logprobs" asks for more.
  const auto cut = [&](AnswerLogprobs one) {
    one.top.resize(std::min<std::size_t>(one.top.size(), static_cast<std::size_t>(completion.logprobs)));
    return one;
  };
  if (completion.echoes) {
    std::vector<AnswerLogprobs> of_prompt;
    std::ranges::transform(results.front().prompt_logprobs, std::back_inserter(of_prompt), cut);
    columns.add_prompt(completion.prompts[prompt].ids, completion.prompts[prompt].text, of_prompt);
  }
  if (!completion.prompt_alone) {
    for (const AnswerLogprobs& one : result.logprobs) columns.add(cut(one));
  }
  return std::move(columns).json();
}

Json choice_json(const TextCompletion& completion, const ChatModel& model, std::size_t prompt,
                 const PromptResults& results, const GenerateResult& result) {
  std::string text = completion.echoes ? completion.prompts[prompt].text : "";
  if (!completion.prompt_alone) text += result.text;
  Json choice = {
      {"index", 0},
      {"text", std::move(text)},
      {"logprobs",
       completion.logprobs >= 0 ? columns_of(completion, model.tokenizer(), prompt, results, result) : Json()},
      {"finish_reason", completion.prompt_alone ? "length" : told_finish(result.finish)}};
  if (completion.wants_prompt_field)
    choice["prompt_logprobs"] = prompt_logprobs_json(results.front().prompt_logprobs, model.tokenizer());
  return choice;
}

}  // namespace

Json text_completion_json(const TextCompletion& completion, const ChatModel& model,
                          std::span<const PromptResults> results, const CompletionHead& head) {
  std::vector<std::string> warnings = completion.warnings;
  Json choices = Json::array();
  UsageFigures usage;
  for (std::size_t prompt = 0; prompt < results.size(); ++prompt) {
    const PromptResults& answers = results[prompt];
    usage.prompt_tokens += answers.front().figures.prompt_tokens;
    usage.cached_tokens += answers.front().figures.cached_tokens;
    for (const GenerateResult& answer : answers) {
      if (!completion.prompt_alone) usage.generated_tokens += answer.figures.generated_tokens;
      add_result_warnings(answer, warnings);
    }
    std::vector<std::size_t> order = ranked(answers);
    if (!completion.ranks()) std::ranges::sort(order);
    for (std::int32_t i = 0; i < completion.told_choices; ++i) {
      const GenerateResult& answer = answers[order[static_cast<std::size_t>(i)]];
      Json choice = choice_json(completion, model, prompt, answers, answer);
      choice["index"] = choices.size();
      if (completion.wants_receipt && head.receipts != nullptr)
        choice["receipt"] = head.receipts->receipt_of(completion, completion.prompts[prompt].ids, answer);
      choices.push_back(std::move(choice));
    }
  }
  Json json = {{"id", head.id},
               {"object", "text_completion"},
               {"created", head.created_unix},
               {"model", completion.model},
               {"choices", std::move(choices)},
               {"usage", usage_json(usage, head)},
               {"system_fingerprint", head.fingerprint}};
  if (!warnings.empty()) json["warnings"] = std::move(warnings);
  return json;
}

TextCompletionStream::TextCompletionStream(const TextCompletion& completion, const ChatModel& model,
                                           CompletionHead head)
    : completion_(&completion), model_(&model), head_(std::move(head)), warnings_(completion.warnings) {
  choices_.resize(completion.prompts.size() * static_cast<std::size_t>(completion.told_choices));
}

std::size_t TextCompletionStream::index_of(std::size_t prompt, std::uint32_t choice) const {
  const std::size_t index = prompt * static_cast<std::size_t>(completion_->told_choices) + choice;
  CORBEL_CHECK(index < choices_.size(), "choice ", choice, " of prompt ", prompt);
  return index;
}

Json TextCompletionStream::chunk(std::size_t index, std::string text) const {
  Json json = {
      {"id", head_.id},
      {"object", "text_completion"},
      {"created", head_.created_unix},
      {"model", completion_->model},
      {"choices",
       Json::array({{{"index", index}, {"text", std::move(text)}, {"logprobs", nullptr}, {"finish_reason", nullptr}}})},
      {"system_fingerprint", head_.fingerprint}};
  if (completion_->wants_usage) json["usage"] = nullptr;
  return json;
}

void TextCompletionStream::tell_echo(std::size_t prompt, std::size_t index, std::vector<Json>& chunks) {
  Choice& at = choices_[index];
  if (at.begun) return;
  at.begun = true;
  if (completion_->echoes) chunks.push_back(chunk(index, completion_->prompts[prompt].text));
}

std::vector<Json> TextCompletionStream::push(std::size_t prompt, const AnswerPiece& piece) {
  std::vector<Json> chunks;
  const std::size_t index = index_of(prompt, piece.choice);
  Choice& at = choices_[index];
  tell_echo(prompt, index, chunks);
  if (completion_->prompt_alone) return chunks;
  if (completion_->logprobs >= 0 && piece.logprobs != nullptr) at.logprobs.push_back(*piece.logprobs);
  if (piece.text.empty()) return chunks;
  chunks.push_back(chunk(index, std::string(piece.text)));
  if (at.logprobs.empty()) return chunks;
  TokenColumns columns(model_->tokenizer(), at.offset);
  for (const AnswerLogprobs& one : at.logprobs) columns.add(one);
  at.offset = columns.offset();
  at.logprobs.clear();
  chunks.back()["choices"][0]["logprobs"] = std::move(columns).json();
  return chunks;
}

std::vector<Json> TextCompletionStream::end(std::size_t prompt, const GenerateResult& result) {
  std::vector<Json> chunks;
  const std::size_t index = index_of(prompt, result.choice);
  Choice& at = choices_[index];
  tell_echo(prompt, index, chunks);
  Json last = chunk(index, "");
  Json& choice = last["choices"][0];
  choice["finish_reason"] = completion_->prompt_alone ? "length" : told_finish(result.finish);
  if (!at.logprobs.empty()) {
    TokenColumns columns(model_->tokenizer(), at.offset);
    for (const AnswerLogprobs& one : at.logprobs) columns.add(one);
    choice["logprobs"] = std::move(columns).json();
  }
  if (completion_->wants_receipt && head_.receipts != nullptr)
    choice["receipt"] = head_.receipts->receipt_of(*completion_, completion_->prompts[prompt].ids, result);
  add_result_warnings(result, warnings_);
  if (!warnings_.empty()) last["warnings"] = warnings_;
  chunks.push_back(std::move(last));
  if (!completion_->prompt_alone) generated_tokens_ += result.figures.generated_tokens;
  if (result.choice == 0) {
    prompt_tokens_ += result.figures.prompt_tokens;
    cached_tokens_ += result.figures.cached_tokens;
  }
  return chunks;
}

std::vector<Json> TextCompletionStream::finish() const {
  if (!completion_->wants_usage) return {};
  Json json = chunk(0, "");
  json["choices"] = Json::array();
  json["usage"] = usage_json({prompt_tokens_, generated_tokens_, cached_tokens_}, head_);
  return {std::move(json)};
}

}  // namespace corbel
