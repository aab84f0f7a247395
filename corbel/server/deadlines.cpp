#include "corbel/server/deadlines.h"

namespace corbel {

void Deadlines::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::multimap<Clock::time_point, std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(calls_);
}

void Deadlines::at(Clock::time_point when, std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  calls_.emplace(when, std::move(call));
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

void Deadlines::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (calls_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = calls_.begin();
    if (const Clock::time_point due = first->first; due > Clock::now()) {
      changed_.wait_until(lock, due);
      continue;
    }
    const std::function<void()> call = std::move(first->second);
    calls_.erase(first);
    lock.unlock();
    call();
    lock.lock();
  }
}

}  // namespace corbel
