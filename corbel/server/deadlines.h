#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace corbel {

/// Calls what is due when it is due, on a thread of its own. For what must happen even when an engine does not move.
class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  Deadlines() = default;
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;
  ~Deadlines() { stop(); }
  /// What is not due yet is dropped, with all it holds, and what comes.
  void stop();

  void at(Clock::time_point when, std::function<void()> call);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, std::function<void()>> calls_;
  bool stopping_ = false;
  std::thread thread_;  // made at the first call
};

}  // namespace corbel
