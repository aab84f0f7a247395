#pragma once
#include <memory>
#include <span>
#include <vector>

#include "corbel/compile/plan.h"
#include "corbel/device/run_context.h"

namespace corbel {

/// What became of a tensor's values, in sums over all of them.
struct TensorErrors {
  double signal = 0.0;           // sum of squares
  double noise = 0.0;            // of squared errors
  double weighted_signal = 0.0;  // the same with each column's importance
  double weighted_noise = 0.0;

  /// 10 log10(signal / noise); infinity without noise.
  double sqnr_db() const;
  void add(const TensorErrors& other);
};

/// Turns rows of floats into stored bytes, piece by piece. The bytes depend on neither pieces nor threads.
class MatrixEncoder {
 public:
  /// `importance` f32 [columns] or empty. Refused: what EncodePacked refuses.
  static Result<MatrixEncoder> make(const WeightFormat& format, std::int64_t columns, QuantMethod method,
                                    std::span<const float> importance, Device& device);

  /// values f32 [rows, columns], where takes_bf16() also bf16; all but a tensor's last piece have a multiple of 16
  /// rows. `bytes` gets what they are stored as.
  void encode(const TensorView& values, std::vector<std::byte>& bytes, TensorErrors& errors);
  bool takes_bf16() const;

 private:
  MatrixEncoder() = default;
  TensorErrors row_errors(const float* x, const float* back) const;
  void encode_strips(const float* values, std::int64_t rows, std::byte* bytes, TensorErrors& errors) const;
  void encode_plain(const float* values, std::int64_t rows, std::byte* bytes, TensorErrors& errors) const;
  const WeightFormat* format_ = nullptr;
  std::int64_t columns_ = 0;
  std::span<const float> importance_;
  Device* device_ = nullptr;
  Prepared<EncodePacked> op_;
  std::vector<float> errors_;
};

/// What becomes of NaN and infinite weights.
enum class Nonfinite : std::uint8_t { refuse, zero };

/// A tensor's rows as floats, read in pieces from where the source has them.
class RowReader {
 public:
  RowReader(const SourceTensor& tensor, Device& device) : tensor_(tensor), device_(device) {}
  /// Rows first .. first + count - 1 into values [count, columns]. A refusal names the tensor, the place of the first
  /// NaN or infinite value and the number of such values in this piece.
  Result<void> read(std::int64_t first, std::int64_t count, std::vector<float>& values, Nonfinite nonfinite) const;
  /// The same rows where the source has them, when they are bf16 and finite; empty where they have to be read.
  TensorView in_place(std::int64_t first, std::int64_t count) const;
  std::int64_t rows() const { return tensor_.shape.rank() < 2 ? 1 : tensor_.shape[0]; }
  std::int64_t columns() const { return tensor_.shape[tensor_.shape.rank() - 1]; }

 private:
  Result<void> refuse_nonfinite(std::int64_t first, std::int64_t count, const std::vector<float>& values) const;
  const SourceTensor& tensor_;
  Device& device_;
};

/// Rows of a piece: about 4 MB of floats, a multiple of 16.
std::int64_t piece_rows(std::int64_t columns);

}  // namespace corbel
