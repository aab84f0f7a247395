#include "corbel/chat/completion_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/chat/answer_receipt.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

Json call_json(const ToolCall& call, std::string id) {
  return {{"id", call.id.empty() ? std::move(id) : call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

std::string_view finish_name(FinishReason reason, bool has_calls) {
  return reason == FinishReason::stop && has_calls ? "tool_calls" : told_finish(reason);
}

void add_answer_warnings(const ChoiceReader& reader, const GenerateResult& result, std::vector<std::string>& warnings) {
  add_warnings(reader.warnings(), warnings);
  add_result_warnings(result, warnings);
}

Json usage_json(const GenerateFigures& figures, std::int64_t generated, const CompletionHead& head) {
  return usage_json({figures.prompt_tokens, generated, figures.cached_tokens}, head);
}

/// Of all tokens but the id that ended the answer, as OpenAI's API tells them.
std::span<const AnswerLogprobs> told_logprobs(const GenerateResult& result) {
  const std::span<const AnswerLogprobs> all = result.logprobs;
  return result.stop_id >= 0 && !all.empty() ? all.first(all.size() - 1) : all;
}

Json message_json(const ChoiceReader& reader, const CompletionHead& head, std::uint32_t choice) {
  const std::vector<ToolCall> calls = reader.calls();
  const std::string content = reader.content();
  Json message = {{"role", "assistant"}, {"content", content}, {"refusal", nullptr}};
  if (content.empty() && !calls.empty()) message["content"] = nullptr;
  if (!reader.reasoning().empty()) message["reasoning_content"] = reader.reasoning();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    message["tool_calls"].push_back(call_json(calls[i], made_call_id(head, choice, i)));
  }
  return message;
}

Json token_json(std::int32_t id, float logprob, const Tokenizer& tokenizer) {
  const std::string bytes = token_bytes(id, false, tokenizer);
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<std::uint8_t>(c));
  return {{"token", replace_invalid_utf8(bytes)}, {"logprob", told_logprob(logprob)}, {"bytes", std::move(list)}};
}

}  // namespace

Json logprobs_json(std::span<const AnswerLogprobs> logprobs, const Tokenizer& tokenizer) {
  Json content = Json::array();
  for (const AnswerLogprobs& one : logprobs) {
    Json token = token_json(one.chosen.id, one.chosen.logprob, tokenizer);
    token["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : one.top)
      token["top_logprobs"].push_back(token_json(other.id, other.logprob, tokenizer));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json chat_completion_json(const ChatCompletion& completion, const ChatModel& model,
                          std::span<const GenerateResult> results, const CompletionHead& head) {
  std::vector<std::string> warnings = completion.warnings;
  Json choices = Json::array();
  std::int64_t generated = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const GenerateResult& result = results[i];
    ChoiceReader reader(completion.reading);
    reader.push(result.text);
    reader.finish();
    add_answer_warnings(reader, result, warnings);
    generated += result.figures.generated_tokens;
    choices.push_back(
        {{"index", i},
         {"message", message_json(reader, head, static_cast<std::uint32_t>(i))},
         {"logprobs", completion.wants_logprobs ? logprobs_json(told_logprobs(result), model.tokenizer()) : Json()},
         {"finish_reason", finish_name(result.finish, !reader.calls().empty())}});
    if (completion.wants_receipt && head.receipts != nullptr)
      choices.back()["receipt"] = head.receipts->receipt_of(completion, completion.request.prompt, result);
  }
  const GenerateFigures figures = results.empty() ? GenerateFigures() : results.front().figures;
  Json json = {{"id", head.id},
               {"object", "chat.completion"},
               {"created", head.created_unix},
               {"model", completion.model},
               {"choices", std::move(choices)},
               {"usage", usage_json(figures, generated, head)},
               {"system_fingerprint", head.fingerprint}};
  if (completion.request.prompt_logprobs >= 0 && !results.empty())
    json["prompt_logprobs"] = prompt_logprobs_json(results.front().prompt_logprobs, model.tokenizer());
  if (!warnings.empty()) json["warnings"] = std::move(warnings);
  return json;
}

CompletionStream::CompletionStream(const ChatCompletion& completion, const ChatModel& model, CompletionHead head)
    : completion_(&completion), model_(&model), head_(std::move(head)), warnings_(completion.warnings) {
  choices_.reserve(static_cast<std::size_t>(completion.request.choices));
  for (std::int32_t i = 0; i < completion.request.choices; ++i) choices_.push_back({ChoiceReader(completion.reading)});
}

Json CompletionStream::chunk(std::uint32_t choice, Json delta) const {
  Json json = {
      {"id", head_.id},
      {"object", "chat.completion.chunk"},
      {"created", head_.created_unix},
      {"model", completion_->model},
      {"choices",
       Json::array(
           {{{"index", choice}, {"delta", std::move(delta)}, {"logprobs", nullptr}, {"finish_reason", nullptr}}})},
      {"system_fingerprint", head_.fingerprint}};
  if (completion_->wants_usage) json["usage"] = nullptr;
  return json;
}

void CompletionStream::add_deltas(std::uint32_t choice, std::vector<AnswerDelta> deltas, std::vector<Json>& chunks) {
  Choice& at = choices_[choice];
  if (!at.begun) {
    chunks.push_back(chunk(choice, {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}));
    at.begun = true;
  }
  for (AnswerDelta& delta : deltas) {
    switch (delta.kind) {
      case AnswerDelta::Kind::content: chunks.push_back(chunk(choice, {{"content", std::move(delta.text)}})); break;
      case AnswerDelta::Kind::reasoning:
        chunks.push_back(chunk(choice, {{"reasoning_content", std::move(delta.text)}}));
        break;
      case AnswerDelta::Kind::tool_call: {
        Json call = call_json(delta.call, made_call_id(head_, choice, delta.call_index));
        Json indexed = {{"index", delta.call_index}};
        indexed.update(call);
        chunks.push_back(chunk(choice, {{"tool_calls", Json::array({std::move(indexed)})}}));
        break;
      }
    }
  }
  if (deltas.empty() || !completion_->wants_logprobs || at.logprobs.empty()) return;
  chunks.back()["choices"][0]["logprobs"] = logprobs_json(at.logprobs, model_->tokenizer());
  at.logprobs.clear();
}

std::vector<Json> CompletionStream::push(std::uint32_t choice, std::string_view text,
                                         std::span<const AnswerLogprobs> logprobs) {
  CORBEL_CHECK(choice < choices_.size(), "choice ", choice, " of ", choices_.size());
  std::vector<Json> chunks;
  Choice& at = choices_[choice];
  at.logprobs.insert(at.logprobs.end(), logprobs.begin(), logprobs.end());
  add_deltas(choice, at.reader.push(text), chunks);
  return chunks;
}

std::vector<Json> CompletionStream::end(const GenerateResult& result) {
  CORBEL_CHECK(result.choice < choices_.size(), "choice ", result.choice, " of ", choices_.size());
  std::vector<Json> chunks;
  Choice& at = choices_[result.choice];
  const bool has_end = result.stop_id >= 0 && !at.logprobs.empty() && at.logprobs.back().chosen.id == result.stop_id;
  if (has_end) at.logprobs.pop_back();
  add_deltas(result.choice, at.reader.finish(), chunks);
  std::vector<std::string> warnings;
  add_answer_warnings(at.reader, result, warnings);
  add_warnings(warnings, warnings_);
  Json last = chunk(result.choice, Json::object());
  last["choices"][0]["finish_reason"] = finish_name(result.finish, !at.reader.calls().empty());
  if (!at.logprobs.empty()) last["choices"][0]["logprobs"] = logprobs_json(at.logprobs, model_->tokenizer());
  if (completion_->wants_receipt && head_.receipts != nullptr) {
    last["choices"][0]["receipt"] = head_.receipts->receipt_of(*completion_, completion_->request.prompt, result);
  }
  if (!warnings_.empty()) last["warnings"] = warnings_;
  chunks.push_back(std::move(last));
  generated_tokens_ += result.figures.generated_tokens;
  if (result.choice == 0) {
    figures_ = result.figures;
  }
  return chunks;
}

std::vector<Json> CompletionStream::finish() const {
  if (!completion_->wants_usage) return {};
  Json json = chunk(0, Json::object());
  json["choices"] = Json::array();
  json["usage"] = usage_json(figures_, generated_tokens_, head_);
  return {std::move(json)};
}

}  // namespace corbel
