#include "corbel/tensor/arena.h"

#include <algorithm>

namespace corbel {
namespace {
// A measuring arena's addresses start here: never null, never mapped, so that touching one is a fault and not a silent
// read.
constexpr std::uintptr_t kMeasuringBase = std::uintptr_t{1} << 20;
}  // namespace

TensorView Arena::allocate(DType dtype, const Shape& shape) noexcept {
  const auto bytes = static_cast<std::size_t>(shape.elements() * dtype_bytes(dtype));
  const std::size_t offset = used_;
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  peak_ = std::max(peak_, used_);
  CORBEL_CHECK(measuring() || used_ <= capacity_, "scratch of ", capacity_, " bytes is short of ", used_ - capacity_,
               " bytes: the plan measured another step");
  void* data = measuring() ? reinterpret_cast<void*>(kMeasuringBase + offset)
                           : base_ + offset;  // NOLINT(performance-no-int-to-ptr)
  return make_view(data, dtype, shape);
}

}  // namespace corbel
