#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "corbel/base/check.h"
#include "corbel/tensor/dtype.h"
#include "corbel/tensor/shape.h"

namespace corbel {

/// Which memory an address belongs to. Host code may read only `host`.
enum class MemorySpace : std::uint8_t { host, device };

/// Numbers somewhere in memory. Owns nothing; the last axis is contiguous.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  MemorySpace space = MemorySpace::host;
  Shape shape;
  std::int64_t row_stride =
      0;  // elements between neighbours of the second-to-last axis; outer axes are dense over that

  bool empty() const noexcept { return data == nullptr; }
  /// Product of all axes but the last.
  std::int64_t rows() const noexcept {
    return shape.rank() == 0 ? 0 : shape.elements() / (columns() == 0 ? 1 : columns());
  }
  std::int64_t columns() const noexcept { return shape.rank() == 0 ? 0 : shape[shape.rank() - 1]; }

  /// `count` rows from row `first` on, as [count, columns].
  TensorView row_range(std::int64_t first, std::int64_t count) const noexcept {
    TensorView part = *this;
    part.data = static_cast<std::byte*>(data) + first * row_stride * dtype_bytes(dtype);
    part.shape = {count, columns()};
    return part;
  }
  /// The same memory as another dense shape of as many elements.
  TensorView reshaped(const Shape& other) const noexcept {
    TensorView part = *this;
    part.shape = other;
    part.row_stride = other.rank() == 0 ? 0 : other[other.rank() - 1];
    return part;
  }
};

/// A dense view over `data`.
inline TensorView make_view(void* data, DType dtype, const Shape& shape) noexcept {
  return {data, dtype, MemorySpace::host, shape, shape.rank() == 0 ? 0 : shape[shape.rank() - 1]};
}
template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, float16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, std::int8_t>)
    return DType::i8;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::i32;
  else
    return DType::i64;
}
template <typename T>
TensorView make_view(T* data, const Shape& shape) noexcept {
  return make_view(const_cast<std::remove_const_t<T>*>(data), dtype_of<std::remove_const_t<T>>(), shape);
}

/// Rows of T: what references and CPU kernels work on. T must be the view's dtype and its memory the host's.
template <typename T>
class Rows {
 public:
  explicit Rows(const TensorView& view) noexcept : data_(static_cast<T*>(view.data)), stride_(view.row_stride) {
    CORBEL_CHECK(view.dtype == dtype_of<std::remove_const_t<T>>(), "view is ", dtype_name(view.dtype), ", read as ",
                 dtype_name(dtype_of<std::remove_const_t<T>>()));
  }
  T* operator[](std::int64_t row) const noexcept { return data_ + row * stride_; }

 private:
  T* data_;
  std::int64_t stride_;
};

}  // namespace corbel
