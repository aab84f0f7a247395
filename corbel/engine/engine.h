#pragma once
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "corbel/engine/generate.h"
#include "corbel/engine/scheduler.h"

namespace corbel {

/// One answer wanted.
struct EngineRequest {
  std::vector<std::int32_t> prompt;
  SamplingOptions sampling;
  AnswerLimits limits;
  std::int32_t priority = 0;  // higher goes first
  std::string prefix_salt;    // prefixes are shared among equal salts
  bool shares_prefix = true;
  std::function<void(std::string_view text)> on_text;  // whole characters, in order; may be empty
  std::function<void(GenerateResult result)> on_end;   // once, unless the request fails
  std::function<void(const Error& error)> on_error;    // once, instead
};

struct EngineOptions {
  bool prefix_cache = true;
};

struct EngineFigures {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t steps = 0;
  std::int64_t rows = 0;  // of all steps
  std::int64_t preemptions = 0;
  std::int64_t pages = 0;  // of the pool
  std::int64_t free_pages = 0;
  PrefixCache::Counts prefix;
};

/// Many answers at once on one model: schedule, run, sample, deliver. What an answer says depends on its request alone:
/// not on its company, nor on chunks, preemption or shared prefixes. One thread; callbacks come from step(). The runner
/// and the tokenizer outlive it.
class Engine {
 public:
  Engine(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues the request; its number. Refused: sampling options out of range, an empty prompt, ids outside the
  /// vocabulary, more tokens than could ever run.
  Result<std::uint64_t> submit(EngineRequest request);

  /// Ends the request before the next step, as FinishReason::cancelled, with what it has. Unknown numbers are ignored.
  void cancel(std::uint64_t id);

  /// Runs one step; false when there is nothing to run. What fails a whole step (the device) ends all requests in it
  /// with the error; rows that are not finite end their own.
  bool step();

  EngineFigures figures() const;

 private:
  struct Work;
  void deliver(Work& work, std::span<const float> logits);
  void end(Work& work, FinishReason reason);
  void fail_work(Work& work, const Error& error);

  StepRunner* runner_;
  const Tokenizer* tokenizer_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Work>> works_;
  std::vector<std::uint64_t> delivered_;  // scratch of step()
  std::uint64_t next_id_ = 1;
  std::int64_t steps_ = 0;
  std::int64_t rows_ = 0;
};

}  // namespace corbel
