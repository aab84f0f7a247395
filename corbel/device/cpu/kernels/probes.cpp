#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// What the level's instructions can do at best: reading memory, and multiply-adds on registers alone.

namespace corbel::cpu::CORBEL_ISA {
namespace {

#if defined(__AVX512F__)
using Register = __m512i;
CORBEL_INLINE Register read_register(const char* p) { return _mm512_load_si512(p); }
CORBEL_INLINE Register mix(Register a, Register b) { return _mm512_or_si512(a, b); }
CORBEL_INLINE Register no_bits() { return _mm512_setzero_si512(); }
#elif defined(__AVX2__)
using Register = __m256i;
CORBEL_INLINE Register read_register(const char* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
CORBEL_INLINE Register mix(Register a, Register b) { return _mm256_or_si256(a, b); }
CORBEL_INLINE Register no_bits() { return _mm256_setzero_si256(); }
#else
using Register = __m128i;
CORBEL_INLINE Register read_register(const char* p) { return _mm_load_si128(reinterpret_cast<const __m128i*>(p)); }
CORBEL_INLINE Register mix(Register a, Register b) { return _mm_or_si128(a, b); }
CORBEL_INLINE Register no_bits() { return _mm_setzero_si128(); }
#endif

CORBEL_INLINE uint64_t any_bits(Register a) {
  alignas(64) uint64_t words[sizeof(Register) / 8];
  __builtin_memcpy(words, &a, sizeof a);
  uint64_t all = 0;
  for (const uint64_t word : words) all |= word;
  return all;
}

enum class Ahead { nothing, t0, nta };

/// kStreams places at once, each an equal part of the range, one line of each in turn.
template <Ahead kAhead, int kStreams>
uint64_t read_range(const void* data, int64_t bytes) {
  constexpr int64_t kBytesAhead = 512;
  const char* const begin = static_cast<const char*>(data);
  const int64_t part = bytes / kStreams;
  Register sums[kStreams];
#pragma GCC unroll 16
  for (int stream = 0; stream < kStreams; ++stream) sums[stream] = no_bits();
  for (int64_t at = 0; at < part; at += 64) {
#pragma GCC unroll 16
    for (int stream = 0; stream < kStreams; ++stream) {
      const char* const line = begin + stream * part + at;
      if constexpr (kAhead == Ahead::t0) _mm_prefetch(line + kBytesAhead, _MM_HINT_T0);
      if constexpr (kAhead == Ahead::nta) _mm_prefetch(line + kBytesAhead, _MM_HINT_NTA);
#pragma GCC unroll 4
      for (int64_t byte = 0; byte < 64; byte += static_cast<int64_t>(sizeof(Register)))
        sums[stream] = mix(sums[stream], read_register(line + byte));
    }
  }
  Register all = no_bits();
  for (int stream = 0; stream < kStreams; ++stream) all = mix(all, sums[stream]);
  return any_bits(all);
}

// Twelve independent chains cover a latency of 6 at two per cycle. Every loop over them is unrolled: an array that is
// indexed by a variable lives on the stack, and then it is loads and stores that are measured.
#if defined(__AVX512F__)
constexpr int kChains = 12;
#else
constexpr int kChains = 6;  // values of two or four registers
#endif

int64_t f32_operations(int64_t rounds) {
  Floats sums[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sums[c] = broadcast(static_cast<float>(c));
  Floats a = broadcast(0.999F);
  Floats b = broadcast(0.001F);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = fma(sums[c], a, b);
  }
  Floats total = zero();
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) total = add(total, sums[c]);
  volatile float kept = add_lanes(total);
  static_cast<void>(kept);
  return rounds * kChains * kWidth * 2;
}

#if defined(__AVX512BF16__)
int64_t bf16_operations(int64_t rounds) {
  __m512 sums[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
  const __m512i a = _mm512_set1_epi32(0x3f803f80);
  const __m512i b = _mm512_set1_epi32(0x38003800);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) asm volatile("vdpbf16ps %1, %2, %0" : "+v"(sums[c]) : "v"(a), "v"(b));
  }
  __m512 total = _mm512_setzero_ps();
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) total = _mm512_add_ps(total, sums[c]);
  volatile float kept = _mm512_reduce_add_ps(total);
  static_cast<void>(kept);
  return rounds * kChains * 32 * 2;
}
#endif

#if defined(__AVX512VNNI__)
int64_t int8_operations(int64_t rounds) {
  __m512i sums[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_epi32(c);
  const __m512i a = _mm512_set1_epi8(1);
  const __m512i b = _mm512_set1_epi8(2);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) asm volatile("vpdpbusd %1, %2, %0" : "+v"(sums[c]) : "v"(a), "v"(b));
  }
  __m512i total = _mm512_setzero_si512();
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) total = _mm512_add_epi32(total, sums[c]);
  volatile int kept = _mm512_reduce_or_epi32(total);  // a sum of lanes may overflow
  static_cast<void>(kept);
  return rounds * kChains * 64 * 2;
}
#elif defined(__AVX2__)
/// The level's int8 dot product: 32 products of u8 and i8 and a sum in 16 bits, four times before it goes on in 32 bits
/// (packed_codes.cpp).
int64_t int8_operations(int64_t rounds) {
  constexpr int kTile = 6;
  constexpr int kTimes = 4;
  __m256i sums[kTile];
#pragma GCC unroll 6
  for (int c = 0; c < kTile; ++c) sums[c] = _mm256_set1_epi32(c);
  const __m256i a = _mm256_set1_epi8(1);
  const __m256i b = _mm256_set1_epi8(2);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i products;
  for (int64_t round = 0; round < rounds; ++round) {
    __m256i pairs[kTile];
#pragma GCC unroll 6
    for (int c = 0; c < kTile; ++c) pairs[c] = ones;
#pragma GCC unroll 4
    for (int time = 0; time < kTimes; ++time)
#pragma GCC unroll 6
      for (int c = 0; c < kTile; ++c)
        asm volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(pairs[c]), "=&x"(products) : "x"(b), "x"(a));
#pragma GCC unroll 6
    for (int c = 0; c < kTile; ++c)
      asm volatile("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
                   : "+x"(sums[c]), "=&x"(products)
                   : "x"(pairs[c]), "x"(ones));
  }
  __m256i total = _mm256_setzero_si256();
#pragma GCC unroll 6
  for (int c = 0; c < kTile; ++c) total = _mm256_add_epi32(total, sums[c]);
  volatile int kept = _mm256_extract_epi32(total, 0);
  static_cast<void>(kept);
  return rounds * kTile * kTimes * 32 * 2;
}
#endif

}  // namespace

void add_probes(Kernels& table) {
  constexpr ReadLoop kLoops[ProbeKernels::kReadLoops] = {
      {"1 stream", read_range<Ahead::nothing, 1>},         {"8 streams", read_range<Ahead::nothing, 8>},
      {"16 streams", read_range<Ahead::nothing, 16>},      {"4 streams, prefetcht0", read_range<Ahead::t0, 4>},
      {"8 streams, prefetcht0", read_range<Ahead::t0, 8>}, {"8 streams, prefetchnta", read_range<Ahead::nta, 8>},
  };
  for (int loop = 0; loop < ProbeKernels::kReadLoops; ++loop) table.probes.read_loops[loop] = kLoops[loop];
  table.probes.f32_operations = f32_operations;
#if defined(__AVX512BF16__)
  table.probes.bf16_operations = bf16_operations;
#endif
#if defined(__AVX2__)
  table.probes.int8_operations = int8_operations;
#endif
}

}  // namespace corbel::cpu::CORBEL_ISA
