#pragma once
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "corbel/format/artifact_writer.h"

namespace corbel {

/// Appends pieces of tensors to an artifact in the order they come, on a thread of its own while the next piece is
/// made: one piece waits at most. The bytes of the file are the same as without. Nobody else touches the writer
/// between the first append() and drain().
class WriteBehind {
 public:
  /// `behind` false: on the calling thread.
  WriteBehind(ArtifactWriter& writer, bool behind);
  ~WriteBehind();
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  /// Takes `bytes` and leaves an older buffer, to be filled again. A failure of an earlier piece is told here.
  Result<void> append(std::size_t tensor, std::vector<std::byte>& bytes);
  /// All that was appended is written, or the first failure.
  Result<void> drain();

 private:
  void run();
  ArtifactWriter& writer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::size_t> tensor_;  // of the piece that waits or is being written
  std::vector<std::byte> bytes_;
  Result<void> outcome_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace corbel
