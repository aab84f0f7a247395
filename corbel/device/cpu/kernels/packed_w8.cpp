#include "corbel/device/cpu/kernels/packed_halves.h"
#include "corbel/device/cpu/kernels/packed_strips.h"

// w8 (corbel/format/w8_format.cpp): scales, then integers + 128 as a panel has them.

namespace corbel::cpu::CORBEL_ISA {
namespace {

#if defined(__AVX512F__)
class Bytes {
 public:
  static constexpr int64_t kGroups = 1;
  static constexpr bool kOffsets = false;
  static constexpr int64_t kBlockBytes = 64 + 4096;

  __attribute__((always_inline)) explicit Bytes(const PackedTables&) {}
  __attribute__((always_inline)) void open(const unsigned char* block) { block_ = block; }
  __attribute__((always_inline)) __m512 scale(int) const { return _mm512_load_ps(block_); }
  __attribute__((always_inline)) void columns(int step, __m512i* fours) const {
#pragma GCC unroll 8
    for (int four = 0; four < 8; ++four) fours[four] = one_four(step, four);
  }
  __attribute__((always_inline)) __m512i one_four(int step, int four) const {
    return _mm512_load_si512(block_ + 64 + step * 512 + four * 64);
  }

 private:
  const unsigned char* block_ = nullptr;
};
#elif defined(__AVX2__)
class Bytes {
 public:
  static constexpr int64_t kGroups = 1;
  static constexpr bool kOffsets = false;
  static constexpr int kMostCode = 0;
  static constexpr int kZero = 0;
  static constexpr int64_t kBlockBytes = 64 + 4096;

  __attribute__((always_inline)) explicit Bytes(const PackedTables&) {}
  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) { at_ = block + half * 32; }
  __attribute__((always_inline)) __m256 scale(int64_t) const {
    return _mm256_load_ps(reinterpret_cast<const float*>(at_));
  }
  __attribute__((always_inline)) __m256i bytes(int64_t from, int four) const {
    return _mm256_xor_si256(line_at(at_ + 64 + (from + four) * 64), _mm256_set1_epi8(-128));
  }

 private:
  const unsigned char* at_ = nullptr;  // of the half's first line
};
#endif

}  // namespace

void add_packed_w8([[maybe_unused]] Kernels& table) {
#if defined(__AVX512F__)
  add_packed_format<Bytes>(table, "w8");
#elif defined(__AVX2__)
  add_packed_halves<Bytes>(table, "w8");
#endif
}

}  // namespace corbel::cpu::CORBEL_ISA
