#pragma once
#include <cstdint>

#include "corbel/format/packed_format.h"

namespace corbel {

/// fp8g128: strips (packed_format.h) of E4M3 numbers with a scale for each row and 128 columns. A block of 16 rows x
/// 256 columns in 4224 bytes, 8.25 bits per weight:
///
///   lines 0, 1     scales, float32: line g, dword r is row r, columns 128 g .. 128 g + 127
///   lines 2..65    line 2 + k: columns 4 k .. 4 k + 3; byte 16 q + 8 p + 2 t + c is row 4 q + t, column 4 k + 2 p + c:
///                  two byte interleaves (vpunpcklbw, vpunpckhbw) of the halves of bfloat16 give registers of pairs
///
/// value = scale * number. |error| <= 16/448 of the largest magnitude of the row's 128 columns.
/// E4M3 is the one without infinities that checkpoints have ("F8_E4M3"): sign, 4 bits of exponent (bias 7), 3 of
/// mantissa; 0x7f and 0xff are NaN, the largest number is 448, below 2^-6 steps of 2^-9. Every number is a bfloat16, so
/// bf16 arithmetic takes it as it is. Checkpoints' scales by block of 128 x 128 (weight_scale_inv) repeat over 128
/// rows, scales by channel over all groups: both are kept bit for bit. Source: arXiv 2209.05433. This layout is on
/// disk. Never change it: a new one is a new name.
inline constexpr int kFp8Groups = 2;
inline constexpr int kFp8HeaderBytes = kFp8Groups * 64;
inline constexpr float kMostE4m3 = 448.0F;

constexpr int fp8_scale_offset(int row, int group) { return group * 64 + row * 4; }
constexpr int fp8_code_offset(int row, int column) {
  return kFp8HeaderBytes + column / 4 * 64 + row / 4 * 16 + column / 2 % 2 * 8 + row % 4 * 2 + column % 2;
}

/// Exact.
float from_e4m3(std::uint8_t code) noexcept;
/// Rounds to the nearest, ties to even; beyond 448 it is 448, NaN stays NaN.
std::uint8_t to_e4m3(float value) noexcept;

}  // namespace corbel
