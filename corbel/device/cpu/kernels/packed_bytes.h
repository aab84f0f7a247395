#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

/// Integer dot products of four columns at a time. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

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
#endif

}  // namespace corbel::cpu::CORBEL_ISA
