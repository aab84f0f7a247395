#include "corbel/device/cpu/kernels/packed_strips.h"

// Weights that are 7-bit indexes into a table of 128 integers (corbel/format/indexed_format.h): vpermi2b looks 64 of
// them up at once.

namespace corbel::cpu::CORBEL_ISA {
namespace {

#if defined(__AVX512F__)

/// Every byte of both halves of a 64-bit word: where its 8 bits begin in the header's word.
constexpr int64_t at_bits(int low, int high) {
  return static_cast<int64_t>(static_cast<uint64_t>(low & 63) * 0x01010101U |
                              static_cast<uint64_t>(high & 63) * 0x0101010100000000U);
}

/// kCodeBits = 4, 5 or 6; groups of kGroup columns.
template <int kCodeBits, int kGroup, int kPairs>
class Indexed {
 public:
  static constexpr int64_t kGroups = 1;
  static constexpr bool kOffsets = false;
  static constexpr bool kInOrder = kCodeBits == 4;  // else two planes of bits are two places at once
  static constexpr int64_t kBlockBytes = kPairs * 128 + 2048 + (kCodeBits - 4) * 512;

  __attribute__((always_inline)) explicit Indexed(const PackedTables& tables)
      : low_table_(_mm512_load_si512(tables.integers)), high_table_(_mm512_load_si512(tables.integers + 64)) {}

  __attribute__((always_inline)) void open(const unsigned char* block) {
    block_ = block;
    at_ = _mm512_set1_epi64(at_bits(-kCodeBits, kGroupBits - kCodeBits));
    first_ = _mm512_load_si512(block);
    second_ = _mm512_load_si512(block + 64);
    if constexpr (kPairs == 2) {
      next_first_ = _mm512_load_si512(block + 128);
      next_second_ = _mm512_load_si512(block + 192);
    }
  }

  __attribute__((always_inline)) __m512 scale(int) const {
    const __m512i upper = words(_mm512_load_si512(block_), _mm512_load_si512(block_ + 64), true);
    return _mm512_castsi512_ps(_mm512_and_si512(upper, _mm512_set1_epi32(-0x10000)));
  }

  __attribute__((always_inline)) void columns(int step, __m512i* fours) {
    if (kPairs == 2 && step == 4) {
      at_ = _mm512_set1_epi64(at_bits(-kCodeBits, kGroupBits - kCodeBits));
      first_ = next_first_;
      second_ = next_second_;
    }
    const unsigned char* const low = block_ + kPairs * 128 + step * 256;
    __m512i groups[32 / kGroup];
#pragma GCC unroll 4
    for (int g = 0; g < 32 / kGroup; g += 2) {
      const __m512i a = _mm512_multishift_epi64_epi8(at_, first_);
      const __m512i b = _mm512_multishift_epi64_epi8(at_, second_);
      groups[g] = words(a, b, false);
      groups[g + 1] = words(a, b, true);
      at_ = _mm512_add_epi8(at_, _mm512_set1_epi8(2 * kGroupBits));
    }
#pragma GCC unroll 4
    for (int line = 0; line < 4; ++line) {
      const __m512i nibbles = _mm512_load_si512(low + line * 64);
      fours[2 * line] = nibbles;
      fours[2 * line + 1] = _mm512_srli_epi16(nibbles, 4);
    }
    if constexpr (kCodeBits == 6) add_high_bits(step, fours);
    if constexpr (kCodeBits == 5) add_high_bit(step, fours);
#pragma GCC unroll 8
    for (int four = 0; four < 8; ++four) {
      const __m512i code_mask = _mm512_set1_epi8((1 << kCodeBits) - 1);
      fours[four] = merge(fours[four], groups[four * 4 / kGroup], code_mask);
      fours[four] = _mm512_permutex2var_epi8(low_table_, fours[four], high_table_);
    }
  }

 private:
  static constexpr int kGroupBits = 7 - kCodeBits;

  /// Where the mask is set a, else b.
  __attribute__((always_inline)) static __m512i merge(__m512i a, __m512i b, __m512i mask) {
    return _mm512_ternarylogic_epi32(a, b, mask, 0xe4);
  }
  /// Lower or upper halves of the words of a header's two lines: row r in dword r.
  __attribute__((always_inline)) static __m512i words(__m512i a, __m512i b, bool upper) {
    const __m512 x = _mm512_castsi512_ps(a);
    const __m512 y = _mm512_castsi512_ps(b);
    return _mm512_castps_si512(upper ? _mm512_shuffle_ps(x, y, 0xdd) : _mm512_shuffle_ps(x, y, 0x88));
  }
  __attribute__((always_inline)) void add_high_bits(int step, __m512i* fours) const {
    const unsigned char* const high = block_ + kPairs * 128 + 2048 + step * 128;
    const __m512i low_mask = _mm512_set1_epi8(15);
#pragma GCC unroll 2
    for (int line = 0; line < 2; ++line) {
      const __m512i bits = _mm512_load_si512(high + line * 64);
      __m512i* const part = fours + 4 * line;
      part[0] = merge(part[0], _mm512_slli_epi16(bits, 4), low_mask);
      part[1] = merge(part[1], _mm512_slli_epi16(bits, 2), low_mask);
      part[2] = merge(part[2], bits, low_mask);
      part[3] = merge(part[3], _mm512_srli_epi16(bits, 2), low_mask);
    }
  }

  /// One line has the fifth bits of a step's eight fours, four t in bit t of each byte.
  __attribute__((always_inline)) void add_high_bit(int step, __m512i* fours) const {
    const __m512i bits = _mm512_load_si512(block_ + kPairs * 128 + 2048 + step * 64);
    const __m512i low_mask = _mm512_set1_epi8(15);
    fours[0] = merge(fours[0], _mm512_slli_epi16(bits, 4), low_mask);
    fours[1] = merge(fours[1], _mm512_slli_epi16(bits, 3), low_mask);
    fours[2] = merge(fours[2], _mm512_slli_epi16(bits, 2), low_mask);
    fours[3] = merge(fours[3], _mm512_slli_epi16(bits, 1), low_mask);
    fours[4] = merge(fours[4], bits, low_mask);
    fours[5] = merge(fours[5], _mm512_srli_epi16(bits, 1), low_mask);
    fours[6] = merge(fours[6], _mm512_srli_epi16(bits, 2), low_mask);
    fours[7] = merge(fours[7], _mm512_srli_epi16(bits, 3), low_mask);
  }

  __m512i low_table_;
  __m512i high_table_;
  __m512i at_;
  __m512i first_;  // lines of the header pair
  __m512i second_;
  __m512i next_first_;
  __m512i next_second_;
  const unsigned char* block_ = nullptr;
};

#endif

}  // namespace

void add_packed_indexed([[maybe_unused]] Kernels& table) {
#if defined(__AVX512F__)
  add_packed_format<Indexed<4, 16, 1>>(table, "w4g16");
  add_packed_format<Indexed<4, 8, 2>>(table, "w4g8");
  add_packed_format<Indexed<5, 16, 1>>(table, "w5g16");
  add_packed_format<Indexed<6, 8, 1>>(table, "w6g8");
#endif
}

}  // namespace corbel::cpu::CORBEL_ISA
