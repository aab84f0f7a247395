#include "corbel/compile/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "corbel/compile/for_units.h"
#include "corbel/compile/triangular.h"
#include "corbel/format/indexed_format.h"

namespace corbel {
namespace {

constexpr std::int64_t kChunk = 256;   // rows of X that are multiplied at once
constexpr std::int64_t kStripe = 256;  // rows of the products that are made at once
constexpr int kColumns = static_cast<int>(kPackedColumns);

int nearest(const IndexedLayout& layout, const float* middles, float y) noexcept {
  int low = 0;
  for (int half = 1 << (layout.code_bits - 1); half > 0; half /= 2) {
    if (middles[low + half - 1] < y) low += half;
  }
  return low;
}

/// Middles between neighbouring codes.
std::vector<float> middles_of(const IndexedLayout& layout) {
  std::vector<float> middles;
  for (int k = 0; k + 1 < 1 << layout.code_bits; ++k)
    middles.push_back(0.5F * (static_cast<float>(layout.codes[k]) + static_cast<float>(layout.codes[k + 1])));
  return middles;
}

}  // namespace

Result<InputProducts> InputProducts::make(std::int64_t columns, Device& device) {
  InputProducts made;
  made.columns_ = columns;
  made.device_ = &device;
  Linear::Spec spec{.in_features = kChunk};
  spec.outputs[0] = {columns, &f32_format(), false};
  CORBEL_ASSIGN(made.multiply_, device.prepare<Linear>(spec));
  CORBEL_ASSIGN(made.products_, device.allocate(static_cast<std::size_t>(columns * columns) * sizeof(float)));
  made.transposed_.assign(static_cast<std::size_t>(columns * kChunk), 0.0F);
  made.room_.resize(static_cast<std::size_t>(std::min(kStripe, columns) * columns));
  return made;
}

void InputProducts::add(const TensorView& rows) {
  const Rows<const float> x(rows);
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    for (std::int64_t i = 0; i < columns_; ++i) transposed_[static_cast<std::size_t>(i * kChunk + held_)] = x[r][i];
    if (++held_ == kChunk) flush();
  }
}

void InputProducts::flush() {
  if (held_ == 0) return;
  auto* const products = reinterpret_cast<float*>(products_.data());
  RunContext context{.device = device_};
  for (std::int64_t first = 0; first < columns_; first += kStripe) {
    const std::int64_t count = std::min(kStripe, columns_ - first);
    Linear::Args args;
    args.x = make_view(transposed_.data() + first * kChunk, {count, kChunk});
    args.weights[0] = reinterpret_cast<const std::byte*>(transposed_.data());
    args.out[0] = make_view(room_.data(), {count, columns_});
    multiply_(args, context);
    for (std::int64_t i = 0; i < count * columns_; ++i)
      products[first * columns_ + i] += room_[static_cast<std::size_t>(i)];
  }
  std::fill(transposed_.begin(), transposed_.end(), 0.0F);
  held_ = 0;
}

Result<const float*> InputProducts::invert() {
  flush();
  auto* const products = reinterpret_cast<float*>(products_.data());
  double mean = 0.0;
  for (std::int64_t i = 0; i < columns_; ++i) mean += products[i * columns_ + i] / static_cast<double>(columns_);
  if (!(mean > 0.0)) mean = 1.0;
  for (std::int64_t i = 0; i < columns_; ++i) {
    if (!(products[i * columns_ + i] > 0.0F)) products[i * columns_ + i] = static_cast<float>(mean);
  }
  std::vector<float> diagonal(static_cast<std::size_t>(columns_));
  for (std::int64_t i = 0; i < columns_; ++i) diagonal[static_cast<std::size_t>(i)] = products[i * columns_ + i];
  for (double damping = 0.01; damping < 100.0; damping *= 10.0) {
    for (std::int64_t i = 0; i < columns_; ++i)
      products[i * columns_ + i] = diagonal[static_cast<std::size_t>(i)] + static_cast<float>(damping * mean);
    if (invert_to_upper(products, columns_, device_->pool())) return static_cast<const float*>(products);
    for (std::int64_t i = 0; i < columns_; ++i)
      for (std::int64_t k = 0; k < i; ++k) products[k * columns_ + i] = products[i * columns_ + k];
  }
  return fail(
      Code::bad_file,
      "gptq: what the calibration text makes of a layer's input has no finite products; --method mse needs none");
}

Result<GptqEncoder> GptqEncoder::make(const WeightFormat& format, std::int64_t columns, const float* inverse,
                                      Device& device) {
  GptqEncoder made;
  made.format_ = &format;
  made.columns_ = columns;
  made.inverse_ = inverse;
  made.device_ = &device;
  if (indexed_layout(format) == nullptr)
    return fail(Code::unsupported, cat("gptq: format ", format.name, " is not one of indexes"));
  return made;
}

void GptqEncoder::encode(std::vector<float>& values, std::int64_t rows, std::vector<std::byte>& bytes,
                         TensorErrors& errors) {
  bytes.assign(static_cast<std::size_t>(format_->matrix_bytes(rows, columns_)), std::byte{0});
  losses_.resize(static_cast<std::size_t>(rows * kPackedColumns));
  const std::vector<float> original = values;
  for (std::int64_t block = 0; block < packed_blocks(columns_); ++block)
    encode_block(values.data(), rows, block, bytes.data());
  std::vector<TensorErrors> by_row(static_cast<std::size_t>(rows));
  for_units(device_->pool(), rows, [&](std::int64_t row) {
    std::vector<float> back(static_cast<std::size_t>(columns_));
    format_->decode_row(bytes.data(), columns_, row, back.data());
    for (std::int64_t i = 0; i < columns_; ++i) {
      const double x = original[static_cast<std::size_t>(row * columns_ + i)];
      const double d = back[static_cast<std::size_t>(i)] - x;
      by_row[static_cast<std::size_t>(row)].add({x * x, d * d, x * x, d * d});
    }
  });
  for (const TensorErrors& row : by_row) errors.add(row);
}

void GptqEncoder::encode_block(float* values, std::int64_t rows, std::int64_t block, std::byte* bytes) {
  const IndexedLayout& layout = *indexed_layout(*format_);
  const std::vector<float> middles = middles_of(layout);
  const std::int64_t begin = block * kPackedColumns;
  const std::int64_t count = std::min(kPackedColumns, columns_ - begin);
  const float* const upper = inverse_ + begin * columns_ + begin;  // the block's own part of U
  // A column's loss is divided by U's diagonal before it counts.
  block_importance_.resize(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const float diagonal = upper[i * columns_ + i];
    block_importance_[static_cast<std::size_t>(i)] = 1.0F / (diagonal * diagonal);
  }
  std::vector<float> now(static_cast<std::size_t>(rows * count));
  for (std::int64_t r = 0; r < rows; ++r) std::copy_n(values + r * columns_ + begin, count, now.data() + r * count);
  auto search = MatrixEncoder::make(*format_, count, QuantMethod::search, block_importance_, *device_);
  CORBEL_CHECK(search, "a format of indexes has an encoder");
  std::vector<std::byte> searched;
  TensorErrors unused;
  search->encode(make_view(now.data(), {rows, count}), searched, unused);

  const std::int64_t strips = packed_strips(rows);
  for_units(device_->pool(), strips, [&](std::int64_t strip) {
    IndexedRow parts[kStripRows];
    for (int r = 0; r < kStripRows; ++r) {
      const std::int64_t row = strip * kStripRows + r;
      parts[r] = load_indexed_row(layout, searched.data() + strip * format_->block_bytes, r);
      if (row >= rows) continue;
      encode_gptq_row({layout, middles.data(), upper, columns_, count}, values + row * columns_ + begin,
                      losses_.data() + row * kPackedColumns, parts[r]);
    }
    store_indexed_block(layout, parts, bytes + (strip * packed_blocks(columns_) + block) * format_->block_bytes);
  });

  const std::int64_t rest = columns_ - begin - count;
  if (rest == 0) return;
  // values[:, behind] -= losses . U[block, behind]
  tail_.assign(static_cast<std::size_t>(rest * kPackedColumns), 0.0F);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t k = 0; k < rest; ++k)
      tail_[static_cast<std::size_t>(k * kPackedColumns + i)] = upper[i * columns_ + count + k];
  }
  Linear::Spec spec{.in_features = kPackedColumns};
  spec.outputs[0] = {rest, &f32_format(), false};
  const auto multiply = device_->prepare<Linear>(spec);
  CORBEL_CHECK(multiply, "f32 linear");
  correction_.resize(static_cast<std::size_t>(rows * rest));
  Linear::Args args;
  args.x = make_view(losses_.data(), {rows, kPackedColumns});
  args.weights[0] = reinterpret_cast<const std::byte*>(tail_.data());
  args.out[0] = make_view(correction_.data(), {rows, rest});
  RunContext context{.device = device_};
  (*multiply)(args, context);
  for_units(device_->pool(), rows, [&](std::int64_t row) {
    float* const behind = values + row * columns_ + begin + count;
    for (std::int64_t k = 0; k < rest; ++k) behind[k] -= correction_[static_cast<std::size_t>(row * rest + k)];
  });
}

void encode_gptq_row(const GptqBlock& block, float* w, float* losses, IndexedRow& parts) noexcept {
  const IndexedLayout& layout = block.layout;
  std::fill(losses, losses + kColumns, 0.0F);
  const float step = to_float(std::bit_cast<bfloat16>(parts.scale));
  if (!(step > 0.0F)) {
    // Zeros: nothing to choose, but what the row had by now is lost all the same.
    for (std::int64_t i = 0; i < block.count; ++i) losses[i] = w[i] / block.upper[i * block.stride + i];
    return;
  }
  const float inverse = 1.0F / step;
  for (std::int64_t i = 0; i < block.count; ++i) {
    const std::int64_t group = i / layout.group;
    if (i % layout.group == 0) {
      // The multiplier that fits the group as it is now, each column counting as its loss will.
      float least = HUGE_VALF;
      const std::int64_t end = std::min<std::int64_t>(i + layout.group, block.count);
      for (int m = 0; m < 1 << layout.group_bits; ++m) {
        const auto multiplier = static_cast<float>(layout.multipliers[m]);
        float error = 0.0F;
        for (std::int64_t k = i; k < end; ++k) {
          const float u = w[k] * inverse;
          const float d = u - multiplier * static_cast<float>(
                                               layout.codes[nearest(layout, block.middles, u * (1.0F / multiplier))]);
          const float loss = d / block.upper[k * block.stride + k];
          error += loss * loss;
        }
        if (!(error < least)) continue;
        least = error;
        parts.multipliers[static_cast<std::size_t>(group)] = static_cast<std::uint8_t>(m);
      }
    }
    const auto multiplier = static_cast<float>(layout.multipliers[parts.multipliers[static_cast<std::size_t>(group)]]);
    const int code = nearest(layout, block.middles, (w[i] * inverse) * (1.0F / multiplier));
    parts.codes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(code);
    const float* const row = block.upper + i * block.stride;
    const float loss = (w[i] - step * (multiplier * static_cast<float>(layout.codes[code]))) / row[i];
    losses[i] = loss;
    for (std::int64_t k = i + 1; k < block.count; ++k) w[k] -= loss * row[k];
  }
}

}  // namespace corbel
