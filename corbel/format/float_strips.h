#pragma once
#include "corbel/format/packed_format.h"

namespace corbel {

/// Strips of floats (packed_format.h has strips and blocks). No header, so that a strip is one run of registers of 64
/// bytes, columns ascending, from its first column to its last:
///
///   p_bf16  line k: dword r is the bfloat16 pair (row r, column 2 k), (row r, column 2 k + 1), the even one in the
///           lower half: what vdpbf16ps and tdpbf16ps multiply. 16 bits per weight, every bit of a bf16 checkpoint kept
///   p_f16   line k: 16 binary16 of rows 0..15, column 2 k, then 16 of column 2 k + 1: a half line becomes 16 floats by
///           one conversion. 16 bits per weight, every bit of an f16 checkpoint kept
///
/// Both give the bits that the same numbers give row by row ("bf16", "f16"): the arithmetic of corbel/ops/linear.h sums
/// every 16th pair or column of a row, and in a strip these are every 16th line or half line.
/// Errors: that of rounding to bfloat16 (2^-8 of a value, halved by rounding to the nearest) and to binary16.
/// These layouts are on disk. Never change them: a new one is a new name.
constexpr int pair_offset(int row, int column) { return column / 2 * 64 + row * 4 + column % 2 * 2; }
constexpr int half_line_offset(int row, int column) { return column * 32 + row * 2; }

}  // namespace corbel
