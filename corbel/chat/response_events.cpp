#include "corbel/chat/response_events.h"

#include <nlohmann/json.hpp>

#include "corbel/chat/completion_json.h"

namespace corbel {

ResponseStream::ResponseStream(const ResponseRequest& request, const ChatModel& model, CompletionHead head)
    : request_(&request),
      model_(&model),
      head_(std::move(head)),
      reader_(request.completion.reading),
      warnings_(request.completion.warnings) {}

Json& ResponseStream::event(std::string_view type) {
  return events_.emplace_back(Json{{"type", type}, {"sequence_number", sequence_++}});
}

Json& ResponseStream::item_event(std::string_view type) {
  Json& told = event(type);
  told["output_index"] = output_.size() - 1;
  return told;
}

/// Items have one part each.
Json& ResponseStream::part_event(std::string_view type) {
  Json& told = item_event(type);
  told["item_id"] = output_.back()["id"];
  told["content_index"] = 0;
  return told;
}

std::string ResponseStream::item_id(std::string_view prefix) const {
  const std::string_view unique = std::string_view(head_.id).substr(std::min(head_.id.find('_') + 1, head_.id.size()));
  return cat(prefix, unique, '_', output_.size());
}

Json ResponseStream::response() const {
  Json json = {{"id", head_.id},    {"object", "response"}, {"created_at", head_.created_unix},
               {"status", status_}, {"error", error_},      {"incomplete_details", nullptr},
               {"output", output_}, {"usage", usage_},      {"model", request_->completion.model}};
  if (status_ == "completed") json["completed_at"] = completed_;
  if (status_ == "incomplete") json["incomplete_details"] = {{"reason", "max_output_tokens"}};
  json.update(request_->told);
  if (!warnings_.empty()) json["warnings"] = warnings_;
  return json;
}

std::vector<Json> ResponseStream::begin() {
  event("response.created")["response"] = response();
  event("response.in_progress")["response"] = response();
  return std::exchange(events_, {});
}

void ResponseStream::open(Kind kind) {
  if (is_open_ && kind_ == kind) return;
  close("completed");
  is_open_ = true;
  kind_ = kind;
  const bool thinks = kind == Kind::reasoning;
  Json item;
  if (thinks) {
    item = {{"id", item_id("rs_")}, {"type", "reasoning"}, {"summary", Json::array()}};
  } else {
    item = {{"id", item_id("msg_")}, {"type", "message"}, {"role", "assistant"}};
  }
  item["status"] = "in_progress";
  item["content"] = Json::array();
  output_.push_back(item);
  item_event("response.output_item.added")["item"] = std::move(item);
  Json part =
      thinks ? Json{{"type", "reasoning_text"}, {"text", ""}}
             : Json{{"type", "output_text"}, {"text", ""}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
  part_event("response.content_part.added")["part"] = part;
  output_.back()["content"].push_back(std::move(part));
}

void ResponseStream::close(std::string_view status) {
  if (!std::exchange(is_open_, false)) return;
  const Json part = output_.back()["content"][0];
  const bool thinks = kind_ == Kind::reasoning;
  Json& told = part_event(thinks ? "response.reasoning_text.done" : "response.output_text.done");
  told["text"] = part["text"];
  if (!thinks) told["logprobs"] = part["logprobs"];
  part_event("response.content_part.done")["part"] = part;
  output_.back()["status"] = status;
  item_event("response.output_item.done")["item"] = output_.back();
}

/// [{"token", "logprob", "bytes", "top_logprobs"}] of what has come since.
Json ResponseStream::told_logprobs() {
  if (!request_->completion.wants_logprobs) return Json::array();
  return logprobs_json(std::exchange(logprobs_, {}), model_->tokenizer())["content"];
}

void ResponseStream::add_text(const AnswerDelta& delta) {
  open(delta.kind);
  Json& part = output_.back()["content"][0];
  part["text"].get_ref<std::string&>() += delta.text;
  const bool thinks = delta.kind == Kind::reasoning;
  Json& told = part_event(thinks ? "response.reasoning_text.delta" : "response.output_text.delta");
  told["delta"] = delta.text;
  if (thinks) return logprobs_.clear();
  told["logprobs"] = told_logprobs();
  part["logprobs"].insert(part["logprobs"].end(), told["logprobs"].begin(), told["logprobs"].end());
}

void ResponseStream::add_call(const AnswerDelta& delta) {
  close("completed");
  logprobs_.clear();
  const ToolCall& call = delta.call;
  Json item = {{"id", item_id("fc_")},
               {"type", "function_call"},
               {"call_id", call.id.empty() ? made_call_id(head_, 0, delta.call_index) : call.id},
               {"name", call.name},
               {"arguments", ""},
               {"status", "in_progress"}};
  output_.push_back(item);
  item_event("response.output_item.added")["item"] = item;
  Json& piece = item_event("response.function_call_arguments.delta");
  piece["item_id"] = item["id"];
  piece["delta"] = call.arguments;
  Json& whole = item_event("response.function_call_arguments.done");
  whole["item_id"] = item["id"];
  whole["name"] = call.name;
  whole["arguments"] = call.arguments;
  output_.back()["arguments"] = call.arguments;
  output_.back()["status"] = "completed";
  item_event("response.output_item.done")["item"] = output_.back();
}

void ResponseStream::take(std::vector<AnswerDelta> deltas) {
  for (const AnswerDelta& delta : deltas) {
    if (delta.kind == Kind::tool_call) {
      add_call(delta);
    } else {
      add_text(delta);
    }
  }
}

/// Tokens of thoughts and of their markers: a token without text belongs to what is told before it, or, where nothing
/// is, behind it.
void ResponseStream::count(const std::vector<AnswerDelta>& deltas) {
  ++undecided_tokens_;
  if (deltas.empty() && output_.empty()) return;
  const bool thinks = deltas.empty() ? is_open_ && kind_ == Kind::reasoning : deltas.front().kind == Kind::reasoning;
  if (thinks) thought_tokens_ += undecided_tokens_;
  undecided_tokens_ = 0;
}

std::vector<Json> ResponseStream::push(const AnswerPiece& piece) {
  if (piece.logprobs != nullptr) logprobs_.push_back(*piece.logprobs);
  std::vector<AnswerDelta> deltas = reader_.push(piece.text);
  if (piece.id >= 0) count(deltas);
  if (deltas.empty() && is_open_ && kind_ == Kind::reasoning) logprobs_.clear();
  take(std::move(deltas));
  return std::exchange(events_, {});
}

std::vector<Json> ResponseStream::end(const GenerateResult& result, std::int64_t unix_seconds) {
  const bool has_end = result.stop_id >= 0 && !logprobs_.empty() && logprobs_.back().chosen.id == result.stop_id;
  if (has_end) logprobs_.pop_back();
  take(reader_.finish());
  const bool is_cut = told_finish(result.finish) == "length";
  close(is_cut ? "incomplete" : "completed");
  add_warnings(reader_.warnings(), warnings_);
  add_result_warnings(result, warnings_);
  const GenerateFigures& figures = result.figures;
  usage_ = {{"input_tokens", figures.prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", figures.cached_tokens}, {"cache_write_tokens", 0}}},
            {"output_tokens", figures.generated_tokens},
            {"output_tokens_details", {{"reasoning_tokens", thought_tokens_}}},
            {"total_tokens", figures.prompt_tokens + figures.generated_tokens}};
  status_ = is_cut ? "incomplete" : "completed";
  completed_ = unix_seconds;
  event(is_cut ? "response.incomplete" : "response.completed")["response"] = response();
  return std::exchange(events_, {});
}

std::vector<Json> ResponseStream::fail(const Error& error) {
  close("incomplete");
  status_ = "failed";
  error_ = {{"code", "server_error"}, {"message", error.message}};
  Json& told = event("error");
  told["code"] = "server_error";
  told["message"] = error.message;
  told["param"] = nullptr;
  event("response.failed")["response"] = response();
  return std::exchange(events_, {});
}

}  // namespace corbel
