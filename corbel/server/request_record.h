#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "corbel/engine/engine.h"
#include "corbel/server/metrics.h"

namespace corbel {

/// What the server lets one request take.
struct RequestLimits {
  std::int64_t prompt_tokens = 0;                   // most tokens of a prompt; 0: what the context takes
  std::chrono::seconds seconds{3600};               // from its arrival on; then it ends with what it has
  const std::atomic<bool>* weights_lost = nullptr;  // the model's file was cut while it was served: answers are void
};

/// What a request was, for the log.
struct RequestSummary {
  std::chrono::system_clock::time_point arrived;
  double ms = 0.0;
  std::string id, method, path, key, finish;  // as far as there were any
  int status = 0;                             // 499: the client went away before there was one
  std::int64_t prompt_tokens = 0, answer_tokens = 0;
  bool client_left = false;  // before the end
};

/// One request from its arrival to its last byte. Shared by the gate, its endpoint and the engine's callbacks: when
/// the last of them lets go, it is told to whoever made it. Any thread.
class RequestRecord : public std::enable_shared_from_this<RequestRecord> {
 public:
  using Clock = std::chrono::steady_clock;
  explicit RequestRecord(std::function<void(const RequestSummary& summary)> done) : done_(std::move(done)) {}
  RequestRecord(const RequestRecord&) = delete;
  RequestRecord& operator=(const RequestRecord&) = delete;
  ~RequestRecord();

  /// Before a request goes to the engine, on the engine's thread: gives it its deadline, keeps its prefixes apart from
  /// those of other keys, and counts what becomes of it. Refused: a prompt that the server's limits do not allow.
  Result<void> admit(EngineRequest& request, ModelMetrics& metrics);

  // The gate's.
  std::string id;        // in the header x-request-id: the client's own, or made here
  std::string unique;    // made here, for names of answers: "chatcmpl-UNIQUE"
  std::string key_name;  // of the key it came with; empty: none
  std::string key_salt;
  std::string method, path;
  RequestLimits limits;
  Clock::time_point arrived = Clock::now();
  /// What was computed since may be wrong: nothing of it is delivered.
  bool is_void() const { return limits.weights_lost != nullptr && *limits.weights_lost; }
  void note_answer(int status);
  void note_texts(std::int64_t tokens);  // that became vectors
  void note_end();
  void note_gone();

 private:
  struct Watch;
  void note_result(const GenerateResult& result);

  std::function<void(const RequestSummary& summary)> done_;
  std::chrono::system_clock::time_point arrived_utc_ = std::chrono::system_clock::now();
  std::mutex mutex_;
  Clock::time_point ended_ = arrived;
  int status_ = 0;
  bool client_left_ = false;
  std::int64_t prompt_tokens_ = 0, answer_tokens_ = 0;
  std::string finish_;
};

}  // namespace corbel
