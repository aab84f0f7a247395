#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/completion_parts.h"
#include "corbel/chat/response_request.h"

namespace corbel {

/// Tells a response (POST /v1/responses) in events while its answer comes; response() is what they add up to, so that
/// whole and streamed answers cannot differ. Every event has a "type" and the next "sequence_number". The request and
/// the model outlive it.
class ResponseStream {
 public:
  ResponseStream(const ResponseRequest& request, const ChatModel& model, CompletionHead head);

  /// response.created, response.in_progress
  std::vector<Json> begin();
  /// Items, their parts and deltas, as the answer's text comes.
  std::vector<Json> push(const AnswerPiece& piece);
  /// The rest, and response.completed or response.incomplete.
  std::vector<Json> end(const GenerateResult& result, std::int64_t unix_seconds);
  /// An event "error", and response.failed.
  std::vector<Json> fail(const Error& error);

  /// The object "response" as it stands.
  Json response() const;

 private:
  using Kind = AnswerDelta::Kind;
  Json& event(std::string_view type);
  Json& item_event(std::string_view type);
  Json& part_event(std::string_view type);
  void take(std::vector<AnswerDelta> deltas);
  void open(Kind kind);
  void close(std::string_view status);
  void add_text(const AnswerDelta& delta);
  void add_call(const AnswerDelta& delta);
  void count(const std::vector<AnswerDelta>& deltas);
  Json told_logprobs();
  std::string item_id(std::string_view prefix) const;

  const ResponseRequest* request_;
  const ChatModel* model_;
  CompletionHead head_;
  ChoiceReader reader_;
  std::vector<Json> events_;  // not handed out yet
  std::int64_t sequence_ = 0;
  std::string status_ = "in_progress";
  Json error_ = nullptr, usage_ = nullptr, completed_ = nullptr;
  Json output_ = Json::array();
  std::vector<std::string> warnings_;
  bool is_open_ = false;  // the last item goes on
  Kind kind_ = Kind::content;
  std::vector<AnswerLogprobs> logprobs_;  // of tokens whose text is withheld
  std::int64_t thought_tokens_ = 0, undecided_tokens_ = 0;
};

}  // namespace corbel
