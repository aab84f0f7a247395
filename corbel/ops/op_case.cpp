#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "corbel/format/gguf_random.h"
#include "corbel/format/weight_format.h"
#include "corbel/ops/op.h"

namespace corbel {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kGuardBytes = 256;
constexpr int kGuardByte = 0xff;       // NaN in f32, bf16 and f16; -1 as an integer
constexpr int kOutputByte = 0xcb;      // -2.67e7 in f32: no op's answer on these inputs
constexpr std::int64_t kPiece = 4096;  // values that are encoded at once

}  // namespace

struct CaseMemory::Block {
  std::byte* allocation;  // kAlignment-aligned: guard, then the data, then a guard
  std::int64_t data_offset;
  std::int64_t bytes;
  std::vector<std::byte> initial;

  std::byte* data() const noexcept { return allocation + data_offset; }
  std::int64_t allocated() const noexcept { return data_offset + bytes + kGuardBytes; }
};

CaseMemory::CaseMemory(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 0x1234567) {}

CaseMemory::~CaseMemory() {
  for (const Block& block : blocks_) ::operator delete(block.allocation, std::align_val_t{kAlignment});
}

std::byte* CaseMemory::allocate_bytes(std::int64_t bytes, std::int64_t offset_bytes) {
  Block block{nullptr, kGuardBytes + offset_bytes, bytes, {}};
  const auto size = static_cast<std::size_t>(block.allocated());
  block.allocation = static_cast<std::byte*>(::operator new(size, std::align_val_t{kAlignment}));
  std::memset(block.allocation, kGuardByte, static_cast<std::size_t>(block.data_offset));
  std::memset(block.data() + bytes, kGuardByte, kGuardBytes);
  blocks_.push_back(block);
  return block.data();
}

TensorView CaseMemory::allocate(DType dtype, const Shape& shape) {
  return make_view(allocate_bytes(shape.elements() * dtype_bytes(dtype), 0), dtype, shape);
}

// splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t CaseMemory::next() noexcept {
  state_ += 0x9e3779b97f4a7c15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

float CaseMemory::uniform(float amplitude) noexcept {
  return static_cast<float>(static_cast<std::int64_t>(next() >> 40) - (1 << 23)) * 0x1p-23F * amplitude;
}

void CaseMemory::fill(TensorView& view, float amplitude) noexcept {
  const WeightFormat& format = view.dtype == DType::f32    ? f32_format()
                               : view.dtype == DType::bf16 ? bf16_format()
                                                           : f16_format();
  auto* stored = static_cast<std::byte*>(view.data);
  std::array<float, kPiece> values;
  const std::int64_t count = view.shape.elements();
  for (std::int64_t begin = 0; begin < count; begin += kPiece) {
    const std::int64_t piece = std::min(kPiece, count - begin);
    for (std::int64_t i = 0; i < piece; ++i) values[i] = uniform(amplitude);
    format.encode(values.data(), piece, stored + format.bytes(begin));
  }
}

TensorView CaseMemory::input(DType dtype, const Shape& shape, float amplitude) {
  CORBEL_CHECK(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16, "inputs of ", dtype_name(dtype));
  TensorView view = allocate(dtype, shape);
  fill(view, amplitude);
  return view;
}

TensorView CaseMemory::hostile_rows(const Shape& shape, float amplitude) {
  TensorView view = input(DType::f32, shape, amplitude);
  auto* values = static_cast<float*>(view.data);
  constexpr int kKinds = 6;
  for (std::int64_t row = 0; row < view.rows(); ++row) {
    for (std::int64_t i = 0; i < view.columns(); ++i, ++values) {
      const auto kind =
          row % kKinds == kKinds - 1 ? static_cast<int>(next() % (kKinds - 1)) : static_cast<int>(row % kKinds);
      if (kind == 1) *values = 0.0F;
      if (kind == 2) *values = -0.0F;
      if (kind == 3) *values *= 0x1p-127F / amplitude;
      if (kind == 4) *values *= 1e17F / amplitude;
    }
  }
  return view;
}

std::byte* CaseMemory::weight(const WeightFormat& format, std::int64_t values, float amplitude,
                              std::int64_t offset_bytes) {
  CORBEL_CHECK(kPiece % format.block_values == 0 && values % format.block_values == 0, values, " values of ",
               format.name);
  std::byte* stored = allocate_bytes(format.bytes(values), offset_bytes);
  std::array<float, kPiece> piece;
  for (std::int64_t begin = 0; begin < values; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, values - begin);
    for (std::int64_t i = 0; i < count; ++i) piece[i] = uniform(amplitude);
    format.encode(piece.data(), count, stored + format.bytes(begin));
  }
  return stored;
}

std::byte* CaseMemory::matrix(const WeightFormat& format, const Shape& shape, float amplitude,
                              std::int64_t offset_bytes) {
  if (format.packed == nullptr) return weight(format, shape.elements(), amplitude, offset_bytes);
  std::byte* stored = allocate_bytes(format.matrix_bytes(shape[0], shape[1]), 0);
  if (!format.can_encode()) {
    fill_random_strips(format, shape[0], shape[1], amplitude, next(), stored);
    return stored;
  }
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  for (float& value : values) value = uniform(amplitude);
  format.encode_matrix(values.data(), shape[0], shape[1], stored);
  return stored;
}

TensorView CaseMemory::numbers(const std::vector<float>& values, const Shape& shape) {
  TensorView view = allocate(DType::f32, shape);
  CORBEL_CHECK(static_cast<std::int64_t>(values.size()) == shape.elements(), values.size(), " numbers for ",
               to_string(shape));
  std::copy(values.begin(), values.end(), static_cast<float*>(view.data));
  return view;
}

TensorView CaseMemory::integers(const std::vector<std::int32_t>& values, const Shape& shape) {
  TensorView view = allocate(DType::i32, shape);
  CORBEL_CHECK(static_cast<std::int64_t>(values.size()) == shape.elements(), values.size(), " integers for ",
               to_string(shape));
  std::copy(values.begin(), values.end(), static_cast<std::int32_t*>(view.data));
  return view;
}

TensorView CaseMemory::output(DType dtype, const Shape& shape) {
  TensorView view = allocate(dtype, shape);
  std::memset(view.data, kOutputByte, static_cast<std::size_t>(shape.elements() * dtype_bytes(dtype)));
  compare(view);
  return view;
}

TensorView CaseMemory::in_place(DType dtype, const Shape& shape, float amplitude) {
  const TensorView view = input(dtype, shape, amplitude);
  compare(view);
  return view;
}

TensorView CaseMemory::zeroed(std::int64_t bytes) {
  const TensorView view = allocate(DType::u8, {bytes});
  std::memset(view.data, 0, static_cast<std::size_t>(bytes));
  compare(view);
  return view;
}

void CaseMemory::compare(const TensorView& view) { compared_.push_back(view); }

bool CaseMemory::is_compared(const Block& block) const noexcept {
  return std::any_of(compared_.begin(), compared_.end(),
                     [&block](const TensorView& view) { return view.data == block.data(); });
}

void CaseMemory::keep_initial() {
  for (Block& block : blocks_)
    if (is_compared(block)) block.initial.assign(block.data(), block.data() + block.bytes);
}

void CaseMemory::reset() noexcept {
  for (const Block& block : blocks_)
    if (!block.initial.empty()) std::memcpy(block.data(), block.initial.data(), block.initial.size());
}

bool CaseMemory::guards_intact() const noexcept {
  const auto untouched = [](std::byte byte) { return byte == std::byte{kGuardByte}; };
  return std::all_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    return std::all_of(block.allocation, block.data(), untouched) &&
           std::all_of(block.data() + block.bytes, block.allocation + block.allocated(), untouched);
  });
}

bool CaseMemory::same_inputs(const CaseMemory& other) const noexcept {
  if (blocks_.size() != other.blocks_.size()) return false;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& mine = blocks_[i];
    const Block& theirs = other.blocks_[i];
    if (is_compared(mine)) continue;
    if (mine.bytes != theirs.bytes) return false;
    if (mine.bytes > 0 && std::memcmp(mine.data(), theirs.data(), static_cast<std::size_t>(mine.bytes)) != 0)
      return false;
  }
  return true;
}

}  // namespace corbel
