#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

/// What the kernels of packed formats share: integer dot products of four columns, fetching ahead. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

// How far ahead strips are fetched. The processor's own fetching is less steady, of one row, too: 8 KB is best of 512
// bytes to 16 KB, prefetcht0 better than prefetchnta.
constexpr int64_t kStripBytesAhead = 8192;

#if defined(__AVX2__)
CORBEL_INLINE void fetch_lines(const unsigned char* p, int64_t lines) {
  for (int64_t line = 0; line < lines; ++line) _mm_prefetch(reinterpret_cast<const char*>(p + line * 64), _MM_HINT_T0);
}
#endif

/// Adds a format's kernels to the level's table.
CORBEL_INLINE void add_packed_kernel(Kernels& table, const PackedKernel& kernel) {
  PackedKernel* place = table.packed.formats;
  while (place->format != nullptr) ++place;
  *place = kernel;
}

/// The integers of IQ4_NL and IQ4_XS.
constexpr int8_t kUnevenIntegers[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

#if defined(__AVX512F__)
/// sum += u8 weights x s8 x, four products a lane. Not the intrinsic: GCC 12 moves a tile of them through the stack.
CORBEL_INLINE void dot4(__m512i& sum, __m512i weights, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x));
}
/// The same with four columns of one row of x, straight from memory.
CORBEL_INLINE void dot4(__m512i& sum, __m512i weights, const int8_t* x) {
  asm volatile("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*reinterpret_cast<const int32_t*>(x)));
}
/// Written where it stands: before the dot products that follow, which it has nothing to do with.
CORBEL_INLINE void keep_order(__m512i& a) { asm volatile("" : "+v"(a)); }
CORBEL_INLINE __m512i four_of_x(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
#elif defined(__AVX2__)
CORBEL_INLINE __m256i line_at(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
CORBEL_INLINE void put_line(void* p, __m256i a) { _mm256_store_si256(static_cast<__m256i*>(p), a); }
/// Four bytes, or a pair of 16-bit numbers, in every dword.
CORBEL_INLINE __m256i dword_at(const void* p) {
  int32_t dword;
  __builtin_memcpy(&dword, p, sizeof dword);
  return _mm256_set1_epi32(dword);
}
#endif

}  // namespace corbel::cpu::CORBEL_ISA
