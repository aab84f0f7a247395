#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/completion_parts.h"
#include "corbel/chat/message_request.h"

namespace corbel {

/// Tells a message (POST /v1/messages) in events while its answer comes; message() is what they add up to, so that
/// whole and streamed answers cannot differ. The request outlives it.
class MessageStream {
 public:
  MessageStream(const MessageRequest& request, CompletionHead head);

  /// message_start, ping
  std::vector<Json> begin();
  /// content_block_start, content_block_delta, content_block_stop
  std::vector<Json> push(const AnswerPiece& piece);
  /// The rest, message_delta, message_stop.
  std::vector<Json> end(const GenerateResult& result);

  /// The object "message" as it stands.
  Json message() const;

 private:
  using Kind = AnswerDelta::Kind;
  Json& block_event(std::string_view type);
  void take(std::vector<AnswerDelta> deltas);
  void open(Kind kind);
  void close();
  void add_call(const AnswerDelta& delta);

  const MessageRequest* request_;
  CompletionHead head_;
  ChoiceReader reader_;
  std::vector<Json> events_;  // not handed out yet
  Json content_ = Json::array();
  Json stop_reason_ = nullptr, stop_sequence_ = nullptr;
  Json usage_;
  std::vector<std::string> warnings_;
  bool is_open_ = false;  // the last block goes on
  Kind kind_ = Kind::content;
};

/// {"type": "error", "error": {"type", "message", "param"}}
Json message_error_json(const Error& error);

}  // namespace corbel
