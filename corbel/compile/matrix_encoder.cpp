#include "corbel/compile/matrix_encoder.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "corbel/compile/for_units.h"
#include "corbel/format/packed_format.h"

namespace corbel {
namespace {

constexpr std::uint32_t kMagnitude = 0x7fffffff;
constexpr std::uint32_t kInfinity = 0x7f800000;

/// bfloat16 to floats; the bits of the largest magnitude.
std::uint32_t widen(const std::byte* stored, std::int64_t count, float* to) {
  std::uint32_t most = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, stored + 2 * i, sizeof half);
    const std::uint32_t bits = std::uint32_t{half} << 16;
    to[i] = std::bit_cast<float>(bits);
    most = std::max(most, bits & kMagnitude);
  }
  return most;
}

/// Whether none of bfloat16 numbers is NaN or infinite: an exponent of ones carries into the sign's place.
bool all_finite(const std::byte* stored, std::int64_t count) {
  constexpr std::uint64_t kExponents = 0x7f807f807f807f80;
  constexpr std::uint64_t kOnes = 0x0080008000800080;
  std::uint64_t carried = 0;
  const std::int64_t fours = count / 4;
  for (std::int64_t i = 0; i < fours; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, stored + 8 * i, sizeof word);
    carried |= (word & kExponents) + kOnes;
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, stored + 8 * fours, static_cast<std::size_t>(2 * (count - 4 * fours)));
  carried |= (rest & kExponents) + kOnes;
  return (carried & 0x8000800080008000) == 0;
}

constexpr std::int64_t kPieceFloats = std::int64_t{1} << 20;

/// A dozen scales and two refits reach the best SQNR of 64 scales to 0.03 dB (docs/compile.md).
constexpr int kSearchCandidates = 12;
constexpr int kSearchRefits = 2;

}  // namespace

double TensorErrors::sqnr_db() const { return noise > 0.0 ? 10.0 * std::log10(signal / noise) : HUGE_VAL; }

void TensorErrors::add(const TensorErrors& other) {
  signal += other.signal;
  noise += other.noise;
  weighted_signal += other.weighted_signal;
  weighted_noise += other.weighted_noise;
}

std::int64_t piece_rows(std::int64_t columns) {
  return std::max<std::int64_t>(1, kPieceFloats / std::max<std::int64_t>(1, columns) / kStripRows) * kStripRows;
}

Result<MatrixEncoder> MatrixEncoder::make(const WeightFormat& format, std::int64_t columns, QuantMethod method,
                                          std::span<const float> importance, Device& device) {
  MatrixEncoder encoder;
  encoder.format_ = &format;
  encoder.columns_ = columns;
  encoder.importance_ = importance;
  encoder.device_ = &device;
  if (format.packed != nullptr && format.packed->has_integers()) {
    const bool fast = method == QuantMethod::fast;
    const EncodePacked::Spec spec{columns, &format, fast ? 1 : kSearchCandidates, fast ? 0 : kSearchRefits};
    CORBEL_ASSIGN(encoder.op_, device.prepare<EncodePacked>(spec));
  }
  return encoder;
}

bool MatrixEncoder::takes_bf16() const { return format_->packed != nullptr && format_->packed->has_integers(); }

void MatrixEncoder::encode(const TensorView& values, std::vector<std::byte>& bytes, TensorErrors& errors) {
  const std::int64_t rows = values.rows();
  bytes.resize(static_cast<std::size_t>(format_->matrix_bytes(rows, columns_)));
  if (format_->packed == nullptr) return encode_plain(Rows<const float>(values)[0], rows, bytes.data(), errors);
  if (!format_->packed->has_integers()) return encode_strips(Rows<const float>(values)[0], rows, bytes.data(), errors);
  const std::int64_t blocks = packed_blocks(columns_);
  errors_.assign(static_cast<std::size_t>(rows * blocks * kEncodeErrorFloats), 0.0F);
  EncodePacked::Args args;
  args.values = values;
  if (!importance_.empty()) args.importance = make_view(importance_.data(), {columns_});
  args.matrix = bytes.data();
  args.errors = make_view(errors_.data(), {rows, blocks * kEncodeErrorFloats});
  RunContext context{.device = device_};
  op_(args, context);
  for (std::size_t i = 0; i < errors_.size(); i += kEncodeErrorFloats) {
    const double unit = static_cast<double>(errors_[i]) * static_cast<double>(errors_[i]);
    errors.add({unit * errors_[i + 1], unit * errors_[i + 2], unit * errors_[i + 3], unit * errors_[i + 4]});
  }
}

TensorErrors MatrixEncoder::row_errors(const float* x, const float* back) const {
  TensorErrors sums;
  for (std::int64_t i = 0; i < columns_; ++i) {
    const double weight = importance_.empty() ? 1.0 : importance_[i];
    const double d = static_cast<double>(back[i]) - static_cast<double>(x[i]);
    const double square = static_cast<double>(x[i]) * static_cast<double>(x[i]);
    sums.add({square, d * d, weight * square, weight * d * d});
  }
  return sums;
}

void MatrixEncoder::encode_plain(const float* values, std::int64_t rows, std::byte* bytes, TensorErrors& errors) const {
  std::vector<TensorErrors> by_row(static_cast<std::size_t>(rows));
  for_units(device_->pool(), rows, [&](std::int64_t row) {
    const float* x = values + row * columns_;
    std::byte* const stored = bytes + row * format_->bytes(columns_);
    format_->encode(x, columns_, stored);
    std::vector<float> back(static_cast<std::size_t>(columns_));
    format_->decode(stored, columns_, back.data());
    by_row[static_cast<std::size_t>(row)] = row_errors(x, back.data());
  });
  for (const TensorErrors& row : by_row) errors.add(row);
}

void MatrixEncoder::encode_strips(const float* values, std::int64_t rows, std::byte* bytes,
                                  TensorErrors& errors) const {
  std::vector<TensorErrors> by_row(static_cast<std::size_t>(rows));
  for_units(device_->pool(), packed_strips(rows), [&](std::int64_t strip) {
    const std::int64_t first = strip * kStripRows;
    const std::int64_t count = std::min(kStripRows, rows - first);
    std::byte* const stored = bytes + strip * strip_bytes(*format_, columns_);
    format_->encode_matrix(values + first * columns_, count, columns_, stored);
    std::vector<float> back(static_cast<std::size_t>(columns_));
    for (std::int64_t row = 0; row < count; ++row) {
      format_->decode_row(stored, columns_, row, back.data());
      by_row[static_cast<std::size_t>(first + row)] = row_errors(values + (first + row) * columns_, back.data());
    }
  });
  for (const TensorErrors& row : by_row) errors.add(row);
}

Result<void> RowReader::read(std::int64_t first, std::int64_t count, std::vector<float>& values,
                             Nonfinite nonfinite) const {
  values.resize(static_cast<std::size_t>(count * columns()));
  std::vector<char> finite(static_cast<std::size_t>(count), 1);
  for_units(device_.pool(), count, [&](std::int64_t row) {
    float* const to = values.data() + row * columns();
    const std::int64_t bf16_row = std::int64_t{2} * (first + row) * columns();
    std::uint32_t most = 0;
    if (tensor_.format == &bf16_format()) {
      most = widen(tensor_.bytes.data() + bf16_row, columns(), to);
    } else {
      if (tensor_.shape.rank() < 2)
        tensor_.format->decode(tensor_.bytes.data(), columns(), to);
      else
        tensor_.format->decode_row(tensor_.bytes.data(), columns(), first + row, to);
      for (std::int64_t i = 0; i < columns(); ++i)
        most = std::max(most, std::bit_cast<std::uint32_t>(to[i]) & kMagnitude);
    }
    finite[static_cast<std::size_t>(row)] = most < kInfinity ? 1 : 0;
  });
  if (std::find(finite.begin(), finite.end(), 0) == finite.end()) return {};
  if (nonfinite == Nonfinite::refuse) return refuse_nonfinite(first, count, values);
  for (float& value : values) value = std::isfinite(value) ? value : 0.0F;
  return {};
}

TensorView RowReader::in_place(std::int64_t first, std::int64_t count) const {
  if (tensor_.format != &bf16_format()) return {};
  const std::byte* const rows = tensor_.bytes.data() + std::int64_t{2} * first * columns();
  std::atomic<bool> finite = true;
  for_units(device_.pool(), count, [&](std::int64_t row) {
    if (!all_finite(rows + std::int64_t{2} * row * columns(), columns())) finite = false;
  });
  if (!finite) return {};
  return make_view(const_cast<std::byte*>(rows), DType::bf16, {count, columns()});
}

Result<void> RowReader::refuse_nonfinite(std::int64_t first, std::int64_t count,
                                         const std::vector<float>& values) const {
  const auto bad = [](float x) { return !std::isfinite(x); };
  const auto found = std::find_if(values.begin(), values.end(), bad);
  const std::int64_t at = found - values.begin();
  return fail(
      Code::bad_file,
      cat(tensor_.file, ": tensor \"", tensor_.name, "\" has ", *found, " at [", first + at / columns(), ", ",
          at % columns(), "] (", std::count_if(found, values.end(), bad), " such values in rows ", first, " to ",
          first + count - 1, "); a model with them gives no answers. --allow-nonfinite takes them as zeros"));
}

}  // namespace corbel
