#include "corbel/server/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace corbel {
namespace {

constexpr std::size_t kMostCallers = 10'000;  // addresses cost nothing: memory for them is bounded

double refilled(double left, double per_minute, std::chrono::duration<double> passed) {
  return std::min(per_minute, left + per_minute * passed.count() / 60.0);
}

}  // namespace

std::optional<std::chrono::seconds> RateLimit::take(std::string_view caller, Clock::time_point now) {
  if (per_minute_ <= 0.0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  auto found = buckets_.find(caller);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kMostCallers && now >= next_look_) {
      forget_idle(now);
      next_look_ = now + std::chrono::seconds(1);  // a flood of addresses does not make each request a search
    }
    if (buckets_.size() >= kMostCallers) return std::chrono::seconds(60);
    found = buckets_.emplace(caller, Bucket{per_minute_, now}).first;
  }
  Bucket& bucket = found->second;
  bucket.left = refilled(bucket.left, per_minute_, now - bucket.filled);
  bucket.filled = now;
  if (bucket.left < 1.0)
    return std::chrono::seconds(static_cast<std::int64_t>(std::ceil((1.0 - bucket.left) * 60.0 / per_minute_)));
  bucket.left -= 1.0;
  return std::nullopt;
}

/// A full bucket is as good as none.
void RateLimit::forget_idle(Clock::time_point now) {
  std::erase_if(buckets_, [&](const auto& entry) {
    return refilled(entry.second.left, per_minute_, now - entry.second.filled) >= per_minute_;
  });
}

std::size_t RateLimit::callers() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

}  // namespace corbel
