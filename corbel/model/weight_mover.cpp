#include "corbel/model/weight_mover.h"

#include <algorithm>
#include <cstring>

namespace corbel {

Result<WeightMover> WeightMover::make(TextModel& model, const MappedFile& file) {
  constexpr std::size_t kPage = 4096;
  WeightMover mover;
  mover.file_ = &file;
  const std::span<const std::byte> bytes = file.bytes();
  for (WeightBase* base : model.weight_bases()) {
    if (base->address >= bytes.data() && base->address < bytes.data() + bytes.size()) mover.bases_.push_back(base);
  }
  if (mover.bases_.empty()) return mover;
  std::sort(mover.bases_.begin(), mover.bases_.end(), [](const WeightBase* a, const WeightBase* b) {
    return std::pair(a->address, a->bytes) < std::pair(b->address, b->bytes);
  });
  const auto offset_of = [&](const WeightBase& base) { return static_cast<std::size_t>(base.address - bytes.data()); };
  mover.begin_ = offset_of(*mover.bases_.front()) / kPage * kPage;  // keeps every alignment up to a page
  std::size_t end = 0;
  for (const WeightBase* base : mover.bases_)
    end = std::max(end, offset_of(*base) + static_cast<std::size_t>(base->bytes));
  CORBEL_ASSIGN(mover.memory_, allocate_host_memory(end - mover.begin_));
  return mover;
}

bool WeightMover::move_slice() noexcept {
  constexpr std::size_t kSlice = std::size_t{32} << 20;
  if (done_ == memory_.bytes()) return false;
  const std::byte* from = file_->bytes().data() + begin_;
  const std::size_t end = std::min(done_ + kSlice, memory_.bytes());
  std::memcpy(memory_.data() + done_, from + done_, end - done_);
  done_ = end;
  for (; next_ < bases_.size(); ++next_) {
    WeightBase& base = *bases_[next_];
    const auto offset = static_cast<std::size_t>(base.address - from);
    if (offset + static_cast<std::size_t>(base.bytes) > done_) break;
    base.address = memory_.data() + offset;
  }
  const std::size_t kept = next_ < bases_.size() ? static_cast<std::size_t>(bases_[next_]->address - from) : done_;
  const std::size_t release_end = std::min(kept, done_);
  if (release_end > released_) file_->release(begin_ + released_, release_end - released_);
  released_ = std::max(released_, release_end);
  return true;
}

}  // namespace corbel
