#include "corbel/server/engine_thread.h"

namespace corbel {

EngineThread::EngineThread(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options)
    : engine_(runner, tokenizer, options), figures_(engine_.figures()), thread_([this] { run(); }) {}

EngineThread::~EngineThread() {
  stop_ = true;
  changed_.notify_all();
  thread_.join();
}

void EngineThread::post(Work work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

EngineFigures EngineThread::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void EngineThread::run() {
  bool busy = false;
  std::deque<Work> taken;
  while (!stop_) {
    {
      std::unique_lock lock(mutex_);
      figures_ = engine_.figures();
      if (!busy) changed_.wait(lock, [this] { return stop_ || !work_.empty(); });
      taken.swap(work_);
    }
    for (const Work& work : taken) work(engine_);
    taken.clear();
    busy = engine_.step(&stop_);
  }
}

}  // namespace corbel
