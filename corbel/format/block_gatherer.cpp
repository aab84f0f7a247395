#include "corbel/format/block_gatherer.h"

#include <algorithm>

namespace corbel {

Result<void> BlockGatherer::write(OutputFile& file, std::int64_t offset, std::span<const std::byte> bytes) {
  if (offset != end()) CORBEL_TRY(flush(file));
  if (held_.empty()) begin_ = offset;
  while (!bytes.empty()) {
    const std::int64_t in_block = end() % kBlockBytes;
    if (held_.empty() && in_block == 0 && std::ssize(bytes) >= kBlockBytes) {
      const auto whole = bytes.first(static_cast<std::size_t>(std::ssize(bytes) / kBlockBytes * kBlockBytes));
      CORBEL_TRY(file.write(begin_, whole));
      begin_ += std::ssize(whole);
      bytes = bytes.subspan(whole.size());
      continue;
    }
    const auto taken = bytes.first(static_cast<std::size_t>(std::min(kBlockBytes - in_block, std::ssize(bytes))));
    held_.insert(held_.end(), taken.begin(), taken.end());
    bytes = bytes.subspan(taken.size());
    if (end() % kBlockBytes == 0) CORBEL_TRY(flush(file));
  }
  return {};
}

Result<void> BlockGatherer::flush(OutputFile& file) {
  if (held_.empty()) return {};
  CORBEL_TRY(file.write(begin_, held_));
  begin_ = end();
  held_.clear();
  return {};
}

}  // namespace corbel
