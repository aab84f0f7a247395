#include "corbel/chat/message_events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace corbel {
namespace {

/// Tokens of the prompt that the cache had are told apart and not counted as input.
Json usage_json(std::int64_t prompt, std::int64_t cached, std::int64_t generated) {
  return {{"input_tokens", prompt - cached},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", cached},
          {"output_tokens", generated}};
}

/// The arguments of a call as an object; of what is none, nothing.
Json input_of(const ToolCall& call) {
  auto parsed = parse_json(call.arguments, "arguments");
  return parsed && parsed->is_object() ? *std::move(parsed) : Json::object();
}

}  // namespace

MessageStream::MessageStream(const MessageRequest& request, CompletionHead head)
    : request_(&request),
      head_(std::move(head)),
      reader_(request.completion.reading),
      usage_(usage_json(std::ssize(request.completion.request.prompt), 0, 0)),
      warnings_(request.completion.warnings) {}

Json MessageStream::message() const {
  Json json = {{"id", head_.id},
               {"type", "message"},
               {"role", "assistant"},
               {"model", request_->completion.model},
               {"content", content_},
               {"stop_reason", stop_reason_},
               {"stop_sequence", stop_sequence_},
               {"usage", usage_}};
  if (!warnings_.empty()) json["warnings"] = warnings_;
  return json;
}

std::vector<Json> MessageStream::begin() {
  events_.push_back({{"type", "message_start"}, {"message", message()}});
  events_.push_back(Json{{"type", "ping"}});
  return std::exchange(events_, {});
}

Json& MessageStream::block_event(std::string_view type) {
  return events_.emplace_back(Json{{"type", type}, {"index", content_.size() - 1}});
}

void MessageStream::open(Kind kind) {
  if (is_open_ && kind_ == kind) return;
  close();
  is_open_ = true;
  kind_ = kind;
  if (kind == Kind::reasoning) {
    content_.push_back({{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
  } else {
    content_.push_back({{"type", "text"}, {"text", ""}});
  }
  block_event("content_block_start")["content_block"] = content_.back();
}

void MessageStream::close() {
  if (!std::exchange(is_open_, false)) return;
  block_event("content_block_stop");
}

void MessageStream::add_call(const AnswerDelta& delta) {
  close();
  const ToolCall& call = delta.call;
  Json block = {{"type", "tool_use"},
                {"id", call.id.empty() ? made_call_id(head_, 0, delta.call_index) : call.id},
                {"name", call.name},
                {"input", Json::object()}};
  content_.push_back(block);
  block_event("content_block_start")["content_block"] = std::move(block);
  content_.back()["input"] = input_of(call);
  block_event("content_block_delta")["delta"] = {{"type", "input_json_delta"},
                                                 {"partial_json", content_.back()["input"].dump()}};
  block_event("content_block_stop");
}

void MessageStream::take(std::vector<AnswerDelta> deltas) {
  for (const AnswerDelta& delta : deltas) {
    if (delta.kind == Kind::tool_call) {
      add_call(delta);
      continue;
    }
    open(delta.kind);
    const bool thinks = delta.kind == Kind::reasoning;
    const char* const name = thinks ? "thinking" : "text";
    content_.back()[name].get_ref<std::string&>() += delta.text;
    block_event("content_block_delta")["delta"] = {{"type", thinks ? "thinking_delta" : "text_delta"},
                                                   {name, delta.text}};
  }
}

std::vector<Json> MessageStream::push(const AnswerPiece& piece) {
  take(reader_.push(piece.text));
  return std::exchange(events_, {});
}

std::vector<Json> MessageStream::end(const GenerateResult& result) {
  take(reader_.finish());
  close();
  add_warnings(reader_.warnings(), warnings_);
  add_result_warnings(result, warnings_);
  const GenerateFigures& figures = result.figures;
  usage_ = usage_json(figures.prompt_tokens, figures.cached_tokens, figures.generated_tokens);
  if (told_finish(result.finish) == "length") {
    stop_reason_ = "max_tokens";
  } else if (!reader_.calls().empty()) {
    stop_reason_ = "tool_use";
  } else if (std::ranges::find(request_->stop_sequences, result.stop_string) != request_->stop_sequences.end()) {
    stop_reason_ = "stop_sequence";
    stop_sequence_ = result.stop_string;
  } else {
    stop_reason_ = "end_turn";
  }
  Json delta = {{"type", "message_delta"},
                {"delta", {{"stop_reason", stop_reason_}, {"stop_sequence", stop_sequence_}}},
                {"usage", usage_}};
  if (!warnings_.empty()) delta["warnings"] = warnings_;
  events_.push_back(std::move(delta));
  events_.push_back(Json{{"type", "message_stop"}});
  return std::exchange(events_, {});
}

Json message_error_json(const Error& error) {
  Json json = {{"type", "error"}};
  json.update(chat_error_json(error));
  if (json["error"]["type"] == "server_error") json["error"]["type"] = "api_error";
  return json;
}

}  // namespace corbel
