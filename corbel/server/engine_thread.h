#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "corbel/engine/embed.h"
#include "corbel/engine/engine.h"
#include "corbel/server/metrics.h"

namespace corbel {

/// Keeps an engine on a thread of its own: work from other threads is done between its steps, in order. Texts that
/// become vectors run on the same thread, their steps between the engine's: the two never compute at once, and while
/// the engine has work those steps are short.
class EngineThread {
 public:
  /// Makes what embeds: a runner for hidden states of the same model. Called on the engine's thread, when it is first
  /// asked for.
  using MakeRunner = std::function<Result<std::unique_ptr<StepRunner>>()>;

  EngineThread(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options,
               MakeRunner make_embedding_runner = {});
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;
  ~EngineThread();  // ends the step at hand, does the work that waits, and ends what came of it as cancel_all() does

  using Work = std::function<void(Engine& engine)>;
  void post(Work work);
  using EmbeddingWork = std::function<void(Result<Embedder*> embedder)>;
  void post_embedding(EmbeddingWork work);
  /// Ends every request and every text that is under way, so that whoever waits for them hears of it. Any thread.
  void cancel_all();
  /// As they were after the last step. Any thread.
  EngineFigures figures() const;
  /// Rows of its steps so far. Any thread.
  Histogram step_tokens() const;

 private:
  struct Embedding {
    std::unique_ptr<StepRunner> runner;
    std::unique_ptr<Embedder> embedder;
  };
  EngineOptions counted(const EngineOptions& options);
  void run();
  void do_work();
  void end_all();
  Result<Embedder*> embedder();

  mutable std::mutex mutex_;
  Histogram step_tokens_ = step_token_histogram();
  Engine engine_;
  MakeRunner make_embedding_runner_;
  Embedding embedding_;
  std::condition_variable changed_;
  std::deque<Work> work_, taken_;
  EngineFigures figures_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace corbel
