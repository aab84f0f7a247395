#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace corbel {

/// So many requests a minute for each caller: a bucket that holds a minute's worth and fills evenly. Any thread.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  /// Before the first request. 0: no limit.
  void limit_to(std::int64_t per_minute) { per_minute_ = static_cast<double>(per_minute); }

  /// One more request of `caller`; how long to wait for it where it is too many.
  std::optional<std::chrono::seconds> take(std::string_view caller, Clock::time_point now = Clock::now());
  std::size_t callers() const;  // that are remembered

 private:
  struct Bucket {
    double left = 0.0;
    Clock::time_point filled;
  };
  void forget_idle(Clock::time_point now);

  double per_minute_ = 0.0;
  mutable std::mutex mutex_;
  Clock::time_point next_look_ = Clock::time_point::min();  // for callers to forget
  std::map<std::string, Bucket, std::less<>> buckets_;
};

}  // namespace corbel
