#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "corbel/engine/engine.h"

namespace corbel {

/// Keeps an engine on a thread of its own: work from other threads is done between its steps, in order.
class EngineThread {
 public:
  EngineThread(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options);
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;
  ~EngineThread();  // ends the step at hand, drops the rest

  using Work = std::function<void(Engine& engine)>;
  void post(Work work);
  /// As they were after the last step. Any thread.
  EngineFigures figures() const;

 private:
  void run();

  Engine engine_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> work_;
  EngineFigures figures_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace corbel
