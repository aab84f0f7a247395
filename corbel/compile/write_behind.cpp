#include "corbel/compile/write_behind.h"

#include <utility>

namespace corbel {

WriteBehind::WriteBehind(ArtifactWriter& writer, bool behind) : writer_(writer) {
  if (behind) thread_ = std::thread([this] { run(); });
}

WriteBehind::~WriteBehind() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void WriteBehind::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return tensor_.has_value() || ends_; });
    if (!tensor_) return;
    lock.unlock();
    Result<void> written = writer_.append(*tensor_, bytes_);
    lock.lock();
    if (outcome_ && !written) outcome_ = std::move(written);
    tensor_.reset();
    changed_.notify_all();
  }
}

Result<void> WriteBehind::append(std::size_t tensor, std::vector<std::byte>& bytes) {
  if (!thread_.joinable()) return writer_.append(tensor, bytes);
  CORBEL_TRY(drain());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tensor_ = tensor;
    bytes_.swap(bytes);
  }
  changed_.notify_all();
  return {};
}

Result<void> WriteBehind::drain() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return !tensor_.has_value(); });
  return outcome_;
}

}  // namespace corbel
