#include "corbel/device/cpu/kernels/packed_strips.h"

// Weights that are 7-bit indexes into a table of 128 integers (corbel/format/indexed_format.h): vpermi2b looks 64 of
// them up at once.

namespace corbel::cpu::CORBEL_ISA {
namespace {

#if defined(__AVX512F__)

/// Dword r: where the first byte of row r's 64-bit word is in the header's two lines, four times.
alignas(64) constexpr uint8_t kFirstBytes[64] = {
    0,   0,   0,   0,   8,  8,  8,  8,  64, 64, 64, 64, 72,  72,  72,  72,  16,  16,  16,  16, 24, 24,
    24,  24,  80,  80,  80, 80, 88, 88, 88, 88, 32, 32, 32,  32,  40,  40,  40,  40,  96,  96, 96, 96,
    104, 104, 104, 104, 48, 48, 48, 48, 56, 56, 56, 56, 112, 112, 112, 112, 120, 120, 120, 120};

/// kCodeBits = 4, 5 or 6; groups of kGroup columns.
template <int kCodeBits, int kGroup, int kPairs>
class Indexed {
 public:
  static constexpr int64_t kGroups = 1;
  static constexpr bool kOffsets = false;
  static constexpr int64_t kBlockBytes = kPairs * 128 + 2048 + (kCodeBits - 4) * 512;

  __attribute__((always_inline)) explicit Indexed(const PackedTables& tables)
      : low_table_(_mm512_load_si512(tables.integers)),
        high_table_(_mm512_load_si512(tables.integers + 64)),
        first_bytes_(_mm512_load_si512(kFirstBytes)) {}

  __attribute__((always_inline)) void open(const unsigned char* block) {
    block_ = block;
    open_groups(0);
  }

  __attribute__((always_inline)) __m512 scale(int) const {
    const __m512i upper = words(_mm512_load_si512(block_), _mm512_load_si512(block_ + 64), true);
    return _mm512_castsi512_ps(_mm512_and_si512(upper, _mm512_set1_epi32(-0x10000)));
  }

  __attribute__((always_inline)) void columns(int step, __m512i* fours) {
#pragma GCC unroll 8
    for (int four = 0; four < 8; ++four) fours[four] = one_four(step, four);
  }
  __attribute__((always_inline)) __m512i one_four(int step, int four) {
    const unsigned char* const low = block_ + kPairs * 128 + step * 256;
    if (four % 2 == 0) {
      nibbles_ = _mm512_load_si512(low + four / 2 * 64);
      keep_order(nibbles_);  // read once: where two dot products a cycle read x, loads are what there is least of
    }
    __m512i code = four % 2 == 0 ? nibbles_ : _mm512_srli_epi16(nibbles_, 4);
    if constexpr (kCodeBits == 6) code = add_high_bits(step, four, code);
    if constexpr (kCodeBits == 5) code = add_high_bit(step, four, code);
    const __m512i index = merge(code, group_, _mm512_set1_epi8((1 << kCodeBits) - 1));
    if (four * 4 % kGroup == kGroup - 4) {
      if (kPairs == 2 && four == 7)
        open_groups((step + 1) % 8);  // perhaps those of the other header; what it gives after the last is not used
      else
        next_group();
    }
    return _mm512_permutex2var_epi8(low_table_, index, high_table_);
  }

 private:
  static constexpr int kGroupBits = 7 - kCodeBits;

  /// Row r's 64-bit word has group g's bits from bit g * kGroupBits on; here they are moved to above a code's bits, of
  /// one group after the other. Shifts and shuffles, because they run beside dot products; vpmultishiftqb, which would
  /// take half of the instructions, is in their way.
  __attribute__((always_inline)) void open_groups(int step) {
    constexpr int kSteps = 8 / kPairs;  // of a header
    const unsigned char* const header = block_ + step / kSteps * 128;
    const __m512i by = _mm512_set1_epi64((step % kSteps * (32 / kGroup) * kGroupBits - kCodeBits) & 63);
    first_ = _mm512_rorv_epi64(_mm512_load_si512(header), by);
    second_ = _mm512_rorv_epi64(_mm512_load_si512(header + 64), by);
    group_ = _mm512_permutex2var_epi8(first_, first_bytes_, second_);
  }
  __attribute__((always_inline)) void next_group() {
    first_ = _mm512_srli_epi64(first_, kGroupBits);
    second_ = _mm512_srli_epi64(second_, kGroupBits);
    group_ = _mm512_permutex2var_epi8(first_, first_bytes_, second_);
  }

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
  /// `bits` moved to the left by `by`, in words: what comes from a neighbouring byte is masked out later.
  __attribute__((always_inline)) static __m512i moved(__m512i bits, int by) {
    return by == 0 ? bits : (by > 0 ? _mm512_slli_epi16(bits, by) : _mm512_srli_epi16(bits, -by));
  }
  /// One line has the two high bits of four fours, those of four t in bits 2 t of each byte.
  __attribute__((always_inline)) __m512i add_high_bits(int step, int four, __m512i code) {
    if (four % 4 == 0) high_ = _mm512_load_si512(block_ + kPairs * 128 + 2048 + step * 128 + four / 4 * 64);
    return merge(code, moved(high_, 4 - 2 * (four % 4)), _mm512_set1_epi8(15));
  }
  /// One line has the fifth bits of a step's eight fours, four t in bit t of each byte.
  __attribute__((always_inline)) __m512i add_high_bit(int step, int four, __m512i code) {
    if (four == 0) high_ = _mm512_load_si512(block_ + kPairs * 128 + 2048 + step * 64);
    return merge(code, moved(high_, 4 - four), _mm512_set1_epi8(15));
  }

  __m512i low_table_;
  __m512i high_table_;
  __m512i first_bytes_;
  __m512i first_;  // words of the header's rows, moved to where a group's bits are wanted
  __m512i second_;
  __m512i group_;    // in every byte of row r: the group's bits, above those of a code
  __m512i nibbles_;  // of two fours
  __m512i high_;     // higher bits of codes, of several fours
  const unsigned char* block_ = nullptr;
};

#endif

}  // namespace

void add_packed_codes(Kernels& table);

void add_packed_indexed([[maybe_unused]] Kernels& table) {
#if defined(__AVX512F__)
  add_packed_format<Indexed<4, 16, 1>>(table, "w4g16");
  add_packed_format<Indexed<4, 8, 2>>(table, "w4g8");
  add_packed_format<Indexed<5, 16, 1>>(table, "w5g16");
  add_packed_format<Indexed<6, 8, 1>>(table, "w6g8");
#else
  add_packed_codes(table);
#endif
}

}  // namespace corbel::cpu::CORBEL_ISA
