#include "corbel/device/cpu/kernels/packed_halves.h"

// packed_imports.cpp in registers of 32 bytes. Codes stay unsigned, so that products of several fours fit 16 bits; what
// they count from is taken back from the sum. Only uneven integers are looked up, and multiplied with their signs.

namespace corbel::cpu::CORBEL_ISA {

#if defined(__AVX2__) && !defined(__AVX512F__)
namespace {

CORBEL_INLINE __m256 halves_at(const unsigned char* p) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}
CORBEL_INLINE __m128i bytes_at(const unsigned char* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
/// Nibbles of two groups with two bits above them.
CORBEL_INLINE __m256i six_bits(__m256i nibbles, __m256i high) {
  return _mm256_or_si256(_mm256_and_si256(nibbles, _mm256_set1_epi8(15)),
                         _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(3)), 4));
}

/// d of each group.
class PlainScales {
 public:
  static constexpr int64_t kBytes = 256;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = false;
  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) { at_ = block + 16 * half; }
  __attribute__((always_inline)) __m256 scale(int64_t group) const { return halves_at(at_ + 32 * group); }
  __attribute__((always_inline)) __m256 offset(int64_t) const { return _mm256_setzero_ps(); }

 private:
  const unsigned char* at_ = nullptr;
};

/// d of each group, and m.
class ScalesWithMinimum {
 public:
  static constexpr int64_t kBytes = 512;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = true;
  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) { at_ = block + 16 * half; }
  __attribute__((always_inline)) __m256 scale(int64_t group) const { return halves_at(at_ + 32 * group); }
  __attribute__((always_inline)) __m256 offset(int64_t group) const { return halves_at(at_ + 256 + 32 * group); }

 private:
  const unsigned char* at_ = nullptr;
};

/// d * s and -(m * n), six bits each, which are unpacked once for both halves.
class SixBitPairs {
 public:
  static constexpr int64_t kBytes = 256;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = true;
  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) {
    d_ = halves_at(block + 16 * half);
    m_ = _mm256_sub_ps(_mm256_set1_ps(-0.0F), halves_at(block + 32 + 16 * half));
    at_ = 8 * half;
    if (half != 0) return;
#pragma GCC unroll 2
    for (int part = 0; part < 64; part += 32) {
      const __m256i s = line_at(block + 64 + part);
      const __m256i n = line_at(block + 128 + part);
      const __m256i high = line_at(block + 192 + part);
      put_line(s_ + part, six_bits(s, high));
      put_line(s_ + 64 + part, six_bits(_mm256_srli_epi16(s, 4), _mm256_srli_epi16(high, 2)));
      put_line(n_ + part, six_bits(n, _mm256_srli_epi16(high, 4)));
      put_line(n_ + 64 + part, six_bits(_mm256_srli_epi16(n, 4), _mm256_srli_epi16(high, 6)));
    }
  }
  __attribute__((always_inline)) __m256 scale(int64_t group) const { return product(d_, s_, group); }
  __attribute__((always_inline)) __m256 offset(int64_t group) const { return product(m_, n_, group); }

 private:
  __attribute__((always_inline)) __m256 product(__m256 unit, const unsigned char* bytes, int64_t group) const {
    return _mm256_mul_ps(unit, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes_at(bytes + 16 * group + at_))));
  }
  __m256 d_;
  __m256 m_;
  alignas(32) unsigned char s_[128];
  alignas(32) unsigned char n_[128];
  int64_t at_ = 0;
};

/// d * (s - 32), six bits, which are unpacked once for both halves.
class SixBits {
 public:
  static constexpr int64_t kBytes = 128;
  static constexpr int64_t kGroups = 8;
  static constexpr bool kOffsets = false;
  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) {
    d_ = halves_at(block + 16 * half);
    at_ = 8 * half;
    if (half != 0) return;
    // Groups 0 and 1 have their bits at 0, 2 and 3 at 2; 4 and 5 at 4, 6 and 7 at 6.
    const __m256i high = line_at(block + 32);
    const __m256i zero = _mm256_set1_epi8(32);
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      const __m256i s = line_at(block + 64 + 32 * part);
      const __m256i lower = six_bits(s, _mm256_srli_epi16(high, 2 * part));
      const __m256i upper = six_bits(_mm256_srli_epi16(s, 4), _mm256_srli_epi16(high, 2 * part + 4));
      put_line(s_ + 32 * part, _mm256_sub_epi8(lower, zero));
      put_line(s_ + 64 + 32 * part, _mm256_sub_epi8(upper, zero));
    }
  }
  __attribute__((always_inline)) __m256 scale(int64_t group) const {
    return _mm256_mul_ps(d_, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes_at(s_ + 16 * group + at_))));
  }
  __attribute__((always_inline)) __m256 offset(int64_t) const { return _mm256_setzero_ps(); }

 private:
  __m256 d_;
  alignas(32) unsigned char s_[128];
  int64_t at_ = 0;
};

/// d * s, eight bits, groups of 16 columns.
class ByteScales {
 public:
  static constexpr int64_t kBytes = 320;
  static constexpr int64_t kGroups = 16;
  static constexpr bool kOffsets = false;
  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) {
    d_ = halves_at(block + 16 * half);
    at_ = block + 64 + 8 * half;
  }
  __attribute__((always_inline)) __m256 scale(int64_t group) const {
    return _mm256_mul_ps(d_, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes_at(at_ + 16 * group))));
  }
  __attribute__((always_inline)) __m256 offset(int64_t) const { return _mm256_setzero_ps(); }

 private:
  __m256 d_;
  const unsigned char* at_ = nullptr;
};

/// What all imports have in common. kBits of a code; 8: not codes, but integers.
template <typename Scales, int kBits>
class ImportOf {
 public:
  static constexpr int64_t kGroups = Scales::kGroups;
  static constexpr bool kOffsets = Scales::kOffsets;
  static constexpr int64_t kBlockBytes = Scales::kBytes + 16 * kBlockColumns * kBits / 8;

  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) {
    codes_ = block + Scales::kBytes + 32 * half;
    scales_.open(block, half);
  }
  __attribute__((always_inline)) __m256 scale(int64_t group) const { return scales_.scale(group); }
  __attribute__((always_inline)) __m256 offset(int64_t group) const { return scales_.offset(group); }

 protected:
  __attribute__((always_inline)) __m256i nibbles(int64_t from, int four) const {
    const __m256i two = line_at(codes_ + from * 32 + four / 2 * 64);
    return _mm256_and_si256(four % 2 == 0 ? two : _mm256_srli_epi16(two, 4), _mm256_set1_epi8(15));
  }
  const unsigned char* codes_ = nullptr;

 private:
  Scales scales_;
};

/// Codes of 4, 5 or 6 bits that count from kFrom.
template <typename Scales, int kBits, int kFrom>
class Counted : public ImportOf<Scales, kBits> {
 public:
  static constexpr int kMostCode = (1 << kBits) - 1;
  static constexpr int kZero = kFrom;

  __attribute__((always_inline)) explicit Counted(const PackedTables&) {}
  __attribute__((always_inline)) __m256i bytes(int64_t from, int four) const {
    const __m256i low = this->nibbles(from, four);
    if constexpr (kBits == 4) {
      return low;
    } else {
      // A line has the high bits of kFours fours, those of four t from bit kHigh t on.
      constexpr int kHigh = kBits - 4;
      constexpr int kFours = 8 / kHigh;
      const __m256i line = line_at(this->codes_ + 2048 + from / kFours * 64);
      const int by = 4 - kHigh * (four % kFours);
      const __m256i moved = by >= 0 ? _mm256_slli_epi16(line, by) : _mm256_srli_epi16(line, -by);
      return _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8((1 << kBits) - 16)));
    }
  }
};

/// Codes of 4 bits that stand for integers of a table.
template <typename Scales>
class Uneven : public ImportOf<Scales, 4> {
 public:
  static constexpr int kMostCode = 0;
  static constexpr int kZero = 0;

  __attribute__((always_inline)) explicit Uneven(const PackedTables&)
      : table_(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kUnevenIntegers)))) {}
  __attribute__((always_inline)) __m256i bytes(int64_t from, int four) const {
    return _mm256_shuffle_epi8(table_, this->nibbles(from, four));
  }

 private:
  __m256i table_;
};

/// Integers + 128.
template <typename Scales>
class Plain : public ImportOf<Scales, 8> {
 public:
  static constexpr int kMostCode = 0;
  static constexpr int kZero = 0;

  __attribute__((always_inline)) explicit Plain(const PackedTables&) {}
  __attribute__((always_inline)) __m256i bytes(int64_t from, int four) const {
    return _mm256_xor_si256(line_at(this->codes_ + (from + four) * 64), _mm256_set1_epi8(-128));
  }
};

}  // namespace

void add_packed_import_halves(Kernels& table) {
  add_packed_halves<Counted<PlainScales, 4, 8>>(table, "p_q4_0");
  add_packed_halves<Counted<ScalesWithMinimum, 4, 0>>(table, "p_q4_1");
  add_packed_halves<Counted<PlainScales, 5, 16>>(table, "p_q5_0");
  add_packed_halves<Counted<ScalesWithMinimum, 5, 0>>(table, "p_q5_1");
  add_packed_halves<Plain<PlainScales>>(table, "p_q8_0");
  add_packed_halves<Uneven<PlainScales>>(table, "p_iq4_nl");
  add_packed_halves<Counted<SixBitPairs, 4, 0>>(table, "p_q4_k");
  add_packed_halves<Counted<SixBitPairs, 5, 0>>(table, "p_q5_k");
  add_packed_halves<Counted<ByteScales, 6, 32>>(table, "p_q6_k");
  add_packed_halves<Uneven<SixBits>>(table, "p_iq4_xs");
}
#endif

}  // namespace corbel::cpu::CORBEL_ISA
