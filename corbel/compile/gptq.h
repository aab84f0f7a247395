#pragma once
#include <cstdint>
#include <vector>

#include "corbel/compile/matrix_encoder.h"
#include "corbel/format/indexed_format.h"

namespace corbel {

/// X^T X of what a matrix is multiplied with, summed row by row of X; and what GPTQ needs of it.
class InputProducts {
 public:
  /// Refused: a device without room for columns^2 floats.
  static Result<InputProducts> make(std::int64_t columns, Device& device);
  void add(const TensorView& rows);
  std::int64_t columns() const { return columns_; }

  /// The upper triangular U with (X^T X + damping)^-1 = U^T U, f32 [columns, columns], in place of the sums. Damping is
  /// 1% of the mean diagonal, more where that is not positive definite. Columns that carried nothing stand alone.
  Result<const float*> invert();

 private:
  InputProducts() = default;
  void flush();
  std::int64_t columns_ = 0;
  Device* device_ = nullptr;
  Prepared<Linear> multiply_;
  DeviceMemory products_;          // f32 [columns, columns]
  std::vector<float> transposed_;  // [columns, kChunk]
  std::vector<float> room_;
  std::int64_t held_ = 0;
};

/// GPTQ with a packed format's own grid: columns ascending; the scale of a row and block is searched when its block
/// begins, a group's multiplier when its group begins, both on the values that hold then; what a column loses is made
/// good in all behind it. Rows do not see each other. Source: arXiv 2210.17323.
class GptqEncoder {
 public:
  /// `inverse` as from InputProducts::invert; it outlives the encoder.
  static Result<GptqEncoder> make(const WeightFormat& format, std::int64_t columns, const float* inverse,
                                  Device& device);
  /// As MatrixEncoder::encode; `values` are changed.
  void encode(std::vector<float>& values, std::int64_t rows, std::vector<std::byte>& bytes, TensorErrors& errors);

 private:
  GptqEncoder() = default;
  void encode_block(float* values, std::int64_t rows, std::int64_t block, std::byte* bytes);
  const WeightFormat* format_ = nullptr;
  std::int64_t columns_ = 0;
  const float* inverse_ = nullptr;
  Device* device_ = nullptr;
  std::vector<float> block_importance_;
  std::vector<float> losses_;  // [rows, 256]
  std::vector<float> tail_;    // columns of U behind the block, transposed
  std::vector<float> correction_;
};

/// What the rows of one block share.
struct GptqBlock {
  const IndexedLayout& layout;
  const float* middles;  // between neighbouring codes
  const float* upper;    // U from the block's first row and column on
  std::int64_t stride;   // of U
  std::int64_t count;    // columns of the block
};
/// One row of one block: w [count] (changed), losses f32 [256], parts with the scale in it.
void encode_gptq_row(const GptqBlock& block, float* w, float* losses, IndexedRow& parts) noexcept;

}  // namespace corbel
