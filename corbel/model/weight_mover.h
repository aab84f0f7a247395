#pragma once
#include <cstddef>
#include <vector>

#include "corbel/base/mapped_file.h"
#include "corbel/base/memory_block.h"
#include "corbel/model/text_model.h"

namespace corbel {

/// Moves a model's mapped weights into 2 MB pages, slice by slice: a long-lived process then reads them with fewer
/// misses of the page table's cache. Between any two slices (and steps) the model is whole: a matrix's base is replaced
/// when all of it has been copied, and then its file pages leave the process, so that it never holds two copies of more
/// than one matrix. Owns the new memory: the model must not run after the mover is gone. One thread.
class WeightMover {
 public:
  /// The bases that lie in `file`; others stay where they are. Reserves the memory, touches none of it.
  static Result<WeightMover> make(TextModel& model, const MappedFile& file);

  /// Moves the next 32 MB; false when everything was moved before. Not while a step runs.
  bool move_slice() noexcept;
  std::size_t moved_bytes() const noexcept { return done_; }
  std::size_t total_bytes() const noexcept { return memory_.bytes(); }

 private:
  WeightMover() = default;
  const MappedFile* file_ = nullptr;
  MemoryBlock memory_;
  std::size_t begin_ = 0;           // of the moved range, from the file's start
  std::size_t done_ = 0;            // bytes of the range that are copied
  std::size_t released_ = 0;        // bytes of the range that left the process
  std::size_t next_ = 0;            // of bases_
  std::vector<WeightBase*> bases_;  // ascending addresses
};

}  // namespace corbel
