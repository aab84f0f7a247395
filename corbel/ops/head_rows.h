#pragma once
#include "corbel/tensor/view.h"

namespace corbel {

/// Heads of rows of T: a view [rows, heads, head_dim], or [rows, heads * head_dim] whose row stride may exceed its
/// columns (part of a wider row).
template <typename T>
class HeadRows {
 public:
  HeadRows(const TensorView& view, std::int64_t head_dim) noexcept
      : data_(Rows<T>(view)[0]),
        rows_(view.shape[0]),
        head_stride_(view.shape.rank() == 3 ? view.row_stride : head_dim),
        row_stride_(view.shape.rank() == 3 ? view.shape[1] * view.row_stride : view.row_stride) {}

  std::int64_t rows() const noexcept { return rows_; }
  T* operator()(std::int64_t row, std::int64_t head) const noexcept {
    return data_ + row * row_stride_ + head * head_stride_;
  }

 private:
  T* data_;
  std::int64_t rows_;
  std::int64_t head_stride_;
  std::int64_t row_stride_;
};

}  // namespace corbel
