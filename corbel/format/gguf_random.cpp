#include "corbel/format/gguf_random.h"

#include <cstring>

#include "corbel/format/gguf_packed.h"

namespace corbel {
namespace {

/// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t limit) noexcept { return static_cast<std::uint32_t>((next() >> 32) * limit >> 32); }
  /// Of magnitude `largest` / 2 to `largest`, of either sign.
  float16 half(float largest) noexcept {
    const float part = 0.5F + static_cast<float>(below(1 << 12)) * 0x1p-13F;
    return to_float16(below(2) == 0 ? part * largest : -part * largest);
  }

 private:
  std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// Largest magnitude of an integer, and of what multiplies d.
float reach(const PackedImportLayout& layout) noexcept {
  int integer = 128;
  if (layout.integers != nullptr) {
    integer = 1;
    for (int c = 0; c < 1 << layout.code_bits; ++c) {
      const int value = layout.integers[c];
      integer = value > integer ? value : (-value > integer ? -value : integer);
    }
  }
  const bool six = layout.scales == GgufScales::six_bit_pairs || layout.scales == GgufScales::six_bit;
  return static_cast<float>(integer) * (six ? 63.0F : layout.scales == GgufScales::bytes ? 128.0F : 1.0F);
}

PackedImportRow random_row(const PackedImportLayout& layout, float amplitude, Random& random) noexcept {
  PackedImportRow parts;
  const float largest = amplitude / reach(layout);
  const bool pairs = layout.scales == GgufScales::six_bit_pairs;
  for (int g = 0; g < 8; ++g) {
    parts.d[g] = random.half(largest);
    parts.m[g] = random.half(pairs ? amplitude / 63.0F : amplitude);
    parts.n[g] = static_cast<std::uint8_t>(random.below(64));
  }
  for (auto& s : parts.s) s = static_cast<std::uint8_t>(random.below(layout.scales == GgufScales::bytes ? 256 : 64));
  for (auto& code : parts.codes) code = static_cast<std::uint8_t>(random.below(1U << layout.code_bits));
  return parts;
}

}  // namespace

void fill_random_strips(const WeightFormat& format, std::int64_t rows, std::int64_t columns, float amplitude,
                        std::uint64_t seed, std::byte* matrix) noexcept {
  const PackedImportLayout& layout = *packed_import_layout(format);
  Random random(seed);
  std::memset(matrix, 0, static_cast<std::size_t>(format.matrix_bytes(rows, columns)));
  const std::int64_t blocks = packed_blocks(columns);
  for (std::int64_t strip = 0; strip < packed_strips(rows); ++strip) {
    for (std::int64_t block = 0; block < blocks; ++block, matrix += format.block_bytes) {
      for (int row = 0; row < kStripRows && strip * kStripRows + row < rows; ++row)
        store_import_row(layout, random_row(layout, amplitude, random), row, matrix);
    }
  }
}

}  // namespace corbel
