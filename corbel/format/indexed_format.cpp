#include "corbel/format/indexed_format.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "corbel/tensor/dtype.h"

namespace corbel {
namespace {

// Fitted to Gaussian and Student-t(6) weights with the multipliers below; |4 * -31| = 124. Asymmetric with a zero: the
// multiplier's sign says which side is the longer one.
constexpr std::int8_t kCodes4[16] = {-31, -25, -20, -16, -12, -9, -5, -2, 0, 3, 6, 9, 13, 17, 22, 28};
constexpr std::int8_t kMultipliers3[8] = {1, 2, 3, 4, -1, -2, -3, -4};

// Uniform, but for one code that would be out of reach (-64 * 2 is no int8 of both signs): max(2 c - 64, -63).
constexpr std::array<std::int8_t, 64> make_codes6() {
  std::array<std::int8_t, 64> codes{};
  for (int c = 0; c < 64; ++c) codes[c] = static_cast<std::int8_t>(c == 0 ? -63 : 2 * c - 64);
  return codes;
}
constexpr std::array<std::int8_t, 64> kCodes6 = make_codes6();
constexpr std::int8_t kMultipliers1[2] = {1, 2};

// 25 |t|^1.35 at 32 even steps of t: between uniform codes (0.8 dB worse on Student-t(6)) and the fit of four bits.
constexpr std::int8_t kCodes5[32] = {-25, -23, -21, -19, -17, -15, -13, -11, -10, -8, -7, -5, -4, -3, -2, -1,
                                     0,   1,   2,   3,   4,   5,   7,   8,   10,  11, 13, 15, 17, 19, 21, 23};
constexpr std::int8_t kMultipliers2[4] = {2, 3, 4, 5};

constexpr IndexedLayout kW4G16{4, 3, 16, 1, kMultipliers3, kCodes4};
constexpr IndexedLayout kW4G8{4, 3, 8, 2, kMultipliers3, kCodes4};
constexpr IndexedLayout kW5G16{5, 2, 16, 1, kMultipliers2, kCodes5};
constexpr IndexedLayout kW6G8{6, 1, 8, 1, kMultipliers1, kCodes6.data()};

/// Where a row's word stands: the line of the pair and the word in it.
constexpr int word_offset(int row) { return (row >> 1 & 1) * 64 + ((row >> 2) * 2 + (row & 1)) * 8; }
static_assert(word_offset(0) == 0 && word_offset(1) == 8 && word_offset(2) == 64 && word_offset(4) == 16 &&
              word_offset(15) == 64 + 56);

std::uint64_t load_word(const std::byte* p) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

/// A plane has `width` bits of each code, from bit `from` on: byte 4 r + c of a line has those of 8 / width columns 4
/// apart.
struct Plane {
  int width;
  int from;

  constexpr int line_columns() const { return 32 / width; }
  constexpr int bytes() const { return static_cast<int>(kPackedColumns) / line_columns() * 64; }
  constexpr int mask() const { return (1 << width) - 1; }
};

/// The planes of a layout, in their order: 4 bits, 2 bits and 1 bit, as many as there are.
struct Planes {
  Plane planes[3]{};
  int count = 0;
};
constexpr Planes planes_of(int code_bits) {
  Planes found;
  int from = 0;
  for (int width = 4; width > 0; width /= 2) {
    if ((code_bits & width) == 0) continue;
    found.planes[found.count++] = {width, from};
    from += width;
  }
  return found;
}
static_assert(planes_of(5).planes[1].bytes() == 512 && planes_of(6).planes[1].bytes() == 1024);

template <const IndexedLayout& kLayout>
void unpack_indexed_row(const std::byte* block, int row, std::int8_t* integers, float* scales, float*) noexcept {
  const IndexedRow parts = load_indexed_row(kLayout, block, row);
  for (int i = 0; i < kPackedColumns; ++i)
    integers[i] = static_cast<std::int8_t>(kLayout.multipliers[parts.multipliers[i / kLayout.group]] *
                                           kLayout.codes[parts.codes[i]]);
  scales[0] = to_float(std::bit_cast<bfloat16>(parts.scale));
}

/// The nearest code of `value`; ties go to the lower one.
template <const IndexedLayout& kLayout>
int nearest_code(float value) noexcept {
  constexpr int kCount = 1 << kLayout.code_bits;
  int low = 0;
  for (int half = kCount / 2; half > 0; half /= 2) {
    const int next = low + half;
    const float middle = 0.5F * (static_cast<float>(kLayout.codes[next - 1]) + static_cast<float>(kLayout.codes[next]));
    if (value > middle) low = next;
  }
  return low;
}

/// One row: the scale puts the largest magnitude at the end of the range, each group takes the multiplier with the
/// least squared error.
template <const IndexedLayout& kLayout>
IndexedRow encode_row(const float* values) noexcept {
  IndexedRow parts;
  float largest = 0.0F;
  for (int i = 0; i < kPackedColumns; ++i) largest = std::max(largest, std::fabs(values[i]));
  int reach = 0;
  for (int m = 0; m < 1 << kLayout.group_bits; ++m) reach = std::max(reach, -kLayout.codes[0] * kLayout.multipliers[m]);
  const bfloat16 scale = to_bfloat16(largest / static_cast<float>(reach));
  parts.scale = std::bit_cast<std::uint16_t>(scale);
  const float step = to_float(scale);
  const auto zero = static_cast<std::uint8_t>(nearest_code<kLayout>(0.0F));
  parts.codes.fill(zero);
  if (!(step > 0.0F)) return parts;
  for (int g = 0; g < kLayout.groups(); ++g) {
    const float* group = values + g * kLayout.group;
    float least = HUGE_VALF;
    for (int m = 0; m < 1 << kLayout.group_bits; ++m) {
      const auto multiplier = static_cast<float>(kLayout.multipliers[m]);
      std::uint8_t codes[16];
      float error = 0.0F;  // in units of the scale: values of any size neither vanish nor overflow when squared
      for (int i = 0; i < kLayout.group; ++i) {
        const float steps = group[i] / step;
        codes[i] = static_cast<std::uint8_t>(nearest_code<kLayout>(steps / multiplier));
        const float off = steps - multiplier * static_cast<float>(kLayout.codes[codes[i]]);
        error += off * off;
      }
      if (error >= least) continue;
      least = error;
      parts.multipliers[g] = static_cast<std::uint8_t>(m);
      std::copy_n(codes, kLayout.group, parts.codes.begin() + g * kLayout.group);
    }
  }
  return parts;
}

template <const IndexedLayout& kLayout>
void encode_indexed_block(const float* values, std::byte* block) noexcept {
  std::array<IndexedRow, kStripRows> rows;
  for (int row = 0; row < kStripRows; ++row) rows[row] = encode_row<kLayout>(values + row * kPackedColumns);
  store_indexed_block(kLayout, rows.data(), block);
}

template <const IndexedLayout& kLayout>
constexpr PackedCodec kCodec{1, false, unpack_indexed_row<kLayout>, encode_indexed_block<kLayout>};

// A group's squared error is at most what the largest multiplier gives: group times half the widest gap, squared; one
// weight may have all of it. Half gaps: 12 of 124, 2.25 of 126. 1/256 for the scale's rounding.
constexpr double kError4G16 = 4.0 * 12.0 / 124 + 1.0 / 256;
constexpr double kError4G8 = 2.8285 * 12.0 / 124 + 1.0 / 256;
constexpr double kError5G16 = 4.0 * 10.0 / 125 + 1.0 / 256;  // 5 * (25 - 23): the positive end
constexpr double kError6G8 = 2.8285 * 2.25 / 126 + 1.0 / 256;
constexpr WeightFormat kW4G16Format{"w4g16", kPackedColumns, kW4G16.block_bytes(), kError4G16,
                                    nullptr, nullptr,        &kCodec<kW4G16>};
constexpr WeightFormat kW4G8Format{"w4g8",  kPackedColumns, kW4G8.block_bytes(), kError4G8,
                                   nullptr, nullptr,        &kCodec<kW4G8>};
constexpr WeightFormat kW5G16Format{"w5g16", kPackedColumns, kW5G16.block_bytes(), kError5G16,
                                    nullptr, nullptr,        &kCodec<kW5G16>};
constexpr WeightFormat kW6G8Format{"w6g8",  kPackedColumns, kW6G8.block_bytes(), kError6G8,
                                   nullptr, nullptr,        &kCodec<kW6G8>};

}  // namespace

const WeightFormat& w4g16_format() { return kW4G16Format; }
const WeightFormat& w4g8_format() { return kW4G8Format; }
const WeightFormat& w5g16_format() { return kW5G16Format; }
const WeightFormat& w6g8_format() { return kW6G8Format; }

const IndexedLayout* indexed_layout(const WeightFormat& format) noexcept {
  if (&format == &kW4G16Format) return &kW4G16;
  if (&format == &kW4G8Format) return &kW4G8;
  if (&format == &kW5G16Format) return &kW5G16;
  if (&format == &kW6G8Format) return &kW6G8;
  return nullptr;
}

std::array<std::int8_t, 128> index_table(const IndexedLayout& layout) noexcept {
  std::array<std::int8_t, 128> table{};
  for (int m = 0; m < 1 << layout.group_bits; ++m) {
    for (int c = 0; c < 1 << layout.code_bits; ++c)
      table[m << layout.code_bits | c] = static_cast<std::int8_t>(layout.multipliers[m] * layout.codes[c]);
  }
  return table;
}

namespace {

void store_header(const IndexedLayout& layout, const IndexedRow& parts, int row, std::byte* block) noexcept {
  const int per_pair = layout.groups_per_pair();
  for (int pair = 0; pair < layout.header_pairs; ++pair) {
    std::uint64_t word = pair == 0 ? std::uint64_t{parts.scale} << 48 : 0;
    for (int g = 0; g < per_pair; ++g)
      word |= std::uint64_t{parts.multipliers[pair * per_pair + g]} << (layout.group_bits * g);
    std::memcpy(block + pair * 128 + word_offset(row), &word, sizeof word);
  }
}

/// The codes of columns 4 k .. 4 k + 3, one a byte.
std::uint32_t four_codes(const IndexedRow& row, int k) noexcept {
  std::uint32_t four = 0;
  std::memcpy(&four, row.codes.data() + static_cast<std::ptrdiff_t>(4) * k, sizeof four);
  return four;
}

/// One plane of all rows, with the loops' bounds and shifts known: a compiler that encodes gigabytes wants them so.
template <int kCodeBits, int kIndex>
void store_plane(const IndexedRow* rows, std::byte* lines) noexcept {
  constexpr Plane kPlane = planes_of(kCodeBits).planes[kIndex];
  constexpr std::uint32_t kMask = static_cast<std::uint32_t>(kPlane.mask()) * 0x01010101U;
  constexpr int kFours = 8 / kPlane.width;
  for (int row = 0; row < kStripRows; ++row) {
    std::byte* line = lines + static_cast<std::ptrdiff_t>(4) * row;
    for (int k = 0; k < kPackedColumns / 4; k += kFours, line += 64) {
      std::uint32_t four = 0;
      for (int t = 0; t < kFours; ++t)
        four |= (four_codes(rows[row], k + t) >> kPlane.from & kMask) << (t * kPlane.width);
      std::memcpy(line, &four, sizeof four);
    }
  }
}

template <int kCodeBits, int kIndex = 0>
void store_planes(const IndexedRow* rows, std::byte* lines) noexcept {
  constexpr Planes kPlanes = planes_of(kCodeBits);
  store_plane<kCodeBits, kIndex>(rows, lines);
  if constexpr (kIndex + 1 < kPlanes.count)
    store_planes<kCodeBits, kIndex + 1>(rows, lines + kPlanes.planes[kIndex].bytes());
}

using StorePlanes = void (*)(const IndexedRow* rows, std::byte* lines) noexcept;
constexpr StorePlanes kStorePlanes[8] = {nullptr,         store_planes<1>, store_planes<2>, store_planes<3>,
                                         store_planes<4>, store_planes<5>, store_planes<6>, store_planes<7>};

}  // namespace

void store_indexed_block(const IndexedLayout& layout, const IndexedRow* rows, std::byte* block) noexcept {
  for (int row = 0; row < kStripRows; ++row) store_header(layout, rows[row], row, block);
  kStorePlanes[layout.code_bits](rows, block + layout.header_bytes());
}

void store_indexed_row(const IndexedLayout& layout, const IndexedRow& parts, int row, std::byte* block) noexcept {
  store_header(layout, parts, row, block);
  std::byte* lines = block + layout.header_bytes();
  const Planes planes = planes_of(layout.code_bits);
  for (int p = 0; p < planes.count; ++p) {
    const Plane& plane = planes.planes[p];
    for (int i = 0; i < kPackedColumns; ++i) {
      std::byte& byte = lines[i / plane.line_columns() * 64 + 4 * row + i % 4];
      const int shift = i / 4 % (8 / plane.width) * plane.width;
      byte &= ~(static_cast<std::byte>(plane.mask()) << shift);
      byte |= static_cast<std::byte>(parts.codes[i] >> plane.from & plane.mask()) << shift;
    }
    lines += plane.bytes();
  }
}

IndexedRow load_indexed_row(const IndexedLayout& layout, const std::byte* block, int row) noexcept {
  IndexedRow parts;
  const int per_pair = layout.groups_per_pair();
  const auto mask = static_cast<std::uint64_t>((1 << layout.group_bits) - 1);
  for (int pair = 0; pair < layout.header_pairs; ++pair) {
    const std::uint64_t word = load_word(block + pair * 128 + word_offset(row));
    if (pair == 0) parts.scale = static_cast<std::uint16_t>(word >> 48);
    for (int g = 0; g < per_pair; ++g)
      parts.multipliers[pair * per_pair + g] = static_cast<std::uint8_t>(word >> (layout.group_bits * g) & mask);
  }
  const std::byte* lines = block + layout.header_bytes();
  const Planes planes = planes_of(layout.code_bits);
  for (int p = 0; p < planes.count; ++p) {
    const Plane& plane = planes.planes[p];
    for (int i = 0; i < kPackedColumns; ++i) {
      const int byte = std::to_integer<int>(lines[i / plane.line_columns() * 64 + 4 * row + i % 4]);
      const int bits = byte >> (i / 4 % (8 / plane.width) * plane.width) & plane.mask();
      parts.codes[i] = static_cast<std::uint8_t>(parts.codes[i] | bits << plane.from);
    }
    lines += plane.bytes();
  }
  return parts;
}

}  // namespace corbel
