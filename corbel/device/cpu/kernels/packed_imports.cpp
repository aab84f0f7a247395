#include "corbel/device/cpu/kernels/packed_strips.h"

// Strips of imported block formats (corbel/format/gguf_packed.h): codes become integers + 128 by one look into a table
// of 64 bytes; groups of 32 or 16 columns have float scales.

namespace corbel::cpu::CORBEL_ISA {
namespace {

#if defined(__AVX512F__)

/// Integers + 128 by code. vpermb takes 6 bits of its index: shorter codes' integers are repeated, so that what stands
/// above a code need not be masked away.
struct CodeTable {
  alignas(64) uint8_t bytes[64];
};
constexpr CodeTable counted(int codes, int zero) {
  CodeTable table{};
  for (int i = 0; i < 64; ++i) table.bytes[i] = static_cast<uint8_t>(i % codes - zero + 128);
  return table;
}
constexpr CodeTable uneven() {
  CodeTable table{};
  for (int i = 0; i < 64; ++i) table.bytes[i] = static_cast<uint8_t>(kUnevenIntegers[i % 16] + 128);
  return table;
}
constexpr CodeTable kFrom0Of16 = counted(16, 0);
constexpr CodeTable kFrom8 = counted(16, 8);
constexpr CodeTable kFrom0Of32 = counted(32, 0);
constexpr CodeTable kFrom16 = counted(32, 16);
constexpr CodeTable kFrom32 = counted(64, 32);
constexpr CodeTable kUneven = uneven();

CORBEL_INLINE __m512 halves_at(const unsigned char* p) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
}
CORBEL_INLINE __m128i bytes_at(const unsigned char* p) { return _mm_load_si128(reinterpret_cast<const __m128i*>(p)); }
/// Nibbles of groups 0..3 or 4..7 with two bits above them.
CORBEL_INLINE __m512i six_bits(__m512i nibbles, __m512i high) {
  return _mm512_or_si512(_mm512_and_si512(nibbles, _mm512_set1_epi8(15)),
                         _mm512_slli_epi16(_mm512_and_si512(high, _mm512_set1_epi8(3)), 4));
}

/// d of each group.
class PlainScales {
 public:
  static constexpr int64_t kBytes = 256;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = false;
  __attribute__((always_inline)) void open(const unsigned char* block) { block_ = block; }
  __attribute__((always_inline)) __m512 scale(int group) const { return halves_at(block_ + 32 * group); }
  __attribute__((always_inline)) __m512 offset(int) const { return _mm512_setzero_ps(); }

 private:
  const unsigned char* block_ = nullptr;
};

/// d of each group, and m.
class ScalesWithMinimum {
 public:
  static constexpr int64_t kBytes = 512;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = true;
  __attribute__((always_inline)) void open(const unsigned char* block) { block_ = block; }
  __attribute__((always_inline)) __m512 scale(int group) const { return halves_at(block_ + 32 * group); }
  __attribute__((always_inline)) __m512 offset(int group) const { return halves_at(block_ + 256 + 32 * group); }

 private:
  const unsigned char* block_ = nullptr;
};

/// d * s and -(m * n), six bits each.
class SixBitPairs {
 public:
  static constexpr int64_t kBytes = 256;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = true;
  __attribute__((always_inline)) void open(const unsigned char* block) {
    d_ = halves_at(block);
    m_ = _mm512_sub_ps(_mm512_set1_ps(-0.0F), halves_at(block + 32));
    const __m512i s = _mm512_load_si512(block + 64);
    const __m512i n = _mm512_load_si512(block + 128);
    const __m512i high = _mm512_load_si512(block + 192);
    _mm512_store_si512(s_, six_bits(s, high));
    _mm512_store_si512(s_ + 64, six_bits(_mm512_srli_epi16(s, 4), _mm512_srli_epi16(high, 2)));
    _mm512_store_si512(n_, six_bits(n, _mm512_srli_epi16(high, 4)));
    _mm512_store_si512(n_ + 64, six_bits(_mm512_srli_epi16(n, 4), _mm512_srli_epi16(high, 6)));
  }
  __attribute__((always_inline)) __m512 scale(int group) const { return product(d_, s_, group); }
  __attribute__((always_inline)) __m512 offset(int group) const { return product(m_, n_, group); }

 private:
  __attribute__((always_inline)) static __m512 product(__m512 unit, const unsigned char* bytes, int group) {
    return _mm512_mul_ps(unit, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes_at(bytes + 16 * group))));
  }
  __m512 d_;
  __m512 m_;
  alignas(64) unsigned char s_[128];
  alignas(64) unsigned char n_[128];
};

/// d * (s - 32), six bits.
class SixBits {
 public:
  static constexpr int64_t kBytes = 128;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = false;
  __attribute__((always_inline)) void open(const unsigned char* block) {
    d_ = halves_at(block);
    const __m512i s = _mm512_load_si512(block + 64);
    const __m512i high = _mm512_broadcast_i64x4(_mm256_load_si256(reinterpret_cast<const __m256i*>(block + 32)));
    // Groups 0 and 1 have their bits at 0, 2 and 3 at 2; 4 and 5 at 4, 6 and 7 at 6.
    const __m512i by_group = _mm512_srlv_epi64(high, _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0));
    const __m512i zero = _mm512_set1_epi8(32);
    _mm512_store_si512(s_, _mm512_sub_epi8(six_bits(s, by_group), zero));
    const __m512i upper = six_bits(_mm512_srli_epi16(s, 4), _mm512_srli_epi16(by_group, 4));
    _mm512_store_si512(s_ + 64, _mm512_sub_epi8(upper, zero));
  }
  __attribute__((always_inline)) __m512 scale(int group) const {
    return _mm512_mul_ps(d_, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes_at(s_ + 16 * group))));
  }
  __attribute__((always_inline)) __m512 offset(int) const { return _mm512_setzero_ps(); }

 private:
  __m512 d_;
  alignas(64) unsigned char s_[128];
};

/// d * s, eight bits, groups of 16 columns.
class ByteScales {
 public:
  static constexpr int64_t kBytes = 320;
  static constexpr int64_t kGroups = 16;
  static constexpr bool kOffsets = false;
  __attribute__((always_inline)) void open(const unsigned char* block) {
    d_ = halves_at(block);
    block_ = block;
  }
  __attribute__((always_inline)) __m512 scale(int group) const {
    return _mm512_mul_ps(d_, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes_at(block_ + 64 + 16 * group))));
  }
  __attribute__((always_inline)) __m512 offset(int) const { return _mm512_setzero_ps(); }

 private:
  __m512 d_;
  const unsigned char* block_ = nullptr;
};

/// Codes of 4, 5 or 6 bits behind a header of `Scales`, looked up in `kTable`; codes of 8 bits lie as a panel has them.
template <typename Scales, int kCodeBits, const CodeTable& kTable>
class Import {
 public:
  static constexpr int64_t kGroups = Scales::kGroups;
  static constexpr bool kOffsets = Scales::kOffsets;
  static constexpr int64_t kBlockBytes = Scales::kBytes + 16 * kBlockColumns * kCodeBits / 8;

  __attribute__((always_inline)) explicit Import(const PackedTables&) : table_(_mm512_load_si512(kTable.bytes)) {}
  __attribute__((always_inline)) void open(const unsigned char* block) {
    codes_ = block + Scales::kBytes;
    scales_.open(block);
  }
  __attribute__((always_inline)) __m512 scale(int group) const { return scales_.scale(group); }
  __attribute__((always_inline)) __m512 offset(int group) const { return scales_.offset(group); }

  __attribute__((always_inline)) void columns(int step, __m512i* fours) const {
    if constexpr (kCodeBits == 8) {
#pragma GCC unroll 8
      for (int four = 0; four < 8; ++four) fours[four] = _mm512_load_si512(codes_ + step * 512 + four * 64);
      return;
    }
#pragma GCC unroll 4
    for (int line = 0; line < 4; ++line) {
      const __m512i nibbles = _mm512_load_si512(codes_ + step * 256 + line * 64);
      fours[2 * line] = nibbles;
      fours[2 * line + 1] = _mm512_srli_epi16(nibbles, 4);
    }
    if constexpr (kCodeBits == 5) add_fifth_bits(step, fours);
    if constexpr (kCodeBits == 6) add_high_bits(step, fours);
#pragma GCC unroll 8
    for (int four = 0; four < 8; ++four) fours[four] = _mm512_permutexvar_epi8(fours[four], table_);
  }

 private:
  /// The lower nibble of a, the rest of b.
  __attribute__((always_inline)) static __m512i below(__m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8(15), 0xe4);
  }
  __attribute__((always_inline)) void add_fifth_bits(int step, __m512i* fours) const {
    const __m512i bits = _mm512_load_si512(codes_ + 2048 + step * 64);
    fours[0] = below(fours[0], _mm512_slli_epi16(bits, 4));
    fours[1] = below(fours[1], _mm512_slli_epi16(bits, 3));
    fours[2] = below(fours[2], _mm512_slli_epi16(bits, 2));
    fours[3] = below(fours[3], _mm512_slli_epi16(bits, 1));
    fours[4] = below(fours[4], bits);
    fours[5] = below(fours[5], _mm512_srli_epi16(bits, 1));
    fours[6] = below(fours[6], _mm512_srli_epi16(bits, 2));
    fours[7] = below(fours[7], _mm512_srli_epi16(bits, 3));
  }
  __attribute__((always_inline)) void add_high_bits(int step, __m512i* fours) const {
#pragma GCC unroll 2
    for (int line = 0; line < 2; ++line) {
      const __m512i bits = _mm512_load_si512(codes_ + 2048 + step * 128 + line * 64);
      __m512i* const part = fours + 4 * line;
      part[0] = below(part[0], _mm512_slli_epi16(bits, 4));
      part[1] = below(part[1], _mm512_slli_epi16(bits, 2));
      part[2] = below(part[2], bits);
      part[3] = below(part[3], _mm512_srli_epi16(bits, 2));
    }
  }

  Scales scales_;
  __m512i table_;
  const unsigned char* codes_ = nullptr;
};

#endif

}  // namespace

void add_packed_import_halves(Kernels& table);

void add_packed_imports([[maybe_unused]] Kernels& table) {
#if defined(__AVX512F__)
  add_packed_format<Import<PlainScales, 4, kFrom8>>(table, "p_q4_0");
  add_packed_format<Import<ScalesWithMinimum, 4, kFrom0Of16>>(table, "p_q4_1");
  add_packed_format<Import<PlainScales, 5, kFrom16>>(table, "p_q5_0");
  add_packed_format<Import<ScalesWithMinimum, 5, kFrom0Of32>>(table, "p_q5_1");
  add_packed_format<Import<PlainScales, 8, kFrom32>>(table, "p_q8_0");
  add_packed_format<Import<PlainScales, 4, kUneven>>(table, "p_iq4_nl");
  add_packed_format<Import<SixBitPairs, 4, kFrom0Of16>>(table, "p_q4_k");
  add_packed_format<Import<SixBitPairs, 5, kFrom0Of32>>(table, "p_q5_k");
  add_packed_format<Import<ByteScales, 6, kFrom32>>(table, "p_q6_k");
  add_packed_format<Import<SixBits, 4, kUneven>>(table, "p_iq4_xs");
#elif defined(__AVX2__)
  add_packed_import_halves(table);
#endif
}

}  // namespace corbel::cpu::CORBEL_ISA
