#pragma once
#include "corbel/format/weight_format.h"
#include "corbel/ops/encode_constants.h"
#include "corbel/ops/op.h"

namespace corbel {

/// Rows of floats into a packed format, searching for the least squared error. What `corbel compile` spends its time
/// on, and therefore an op.
///
/// values      f32 or bf16 [rows, columns], finite; bf16 at any address (a checkpoint's own rows)
/// importance  f32 [columns], finite and >= 0: what a column's squared error counts; empty: 1 for each
/// matrix      packed strips of `rows` rows at a multiple of 64 bytes; all bytes are written
/// errors      f32 [rows, blocks * 5]: an EncodeErrors for each row and block of 256 columns
///
/// Each row of each block on its own, padded with zeros. All floats f32, nothing fused; sums over a block go in 16
/// lanes (lane l: columns 16 l .. 16 l + 15 ascending), which are then added 8+8, 4+4, 2+2, 1+1.
///
/// w8: scale = largest / 127, integer = value / scale rounded to the nearest even.
///
/// Formats of indexes (indexed_format.h): a scale s is evaluated like this. u = value * (1 / s); for each group and
/// each multiplier m in their order, with y = u * (1 / m): the nearest code c to y (below), d = u - m * c, group error
/// e = e + (importance * d) * d. The first multiplier with the least e holds. A lane adds its groups ascending; score =
/// (sum * r) * r with r = s * (1 / largest).
///   1. s = bf16(largest * (factor / reach)), for each candidate's factor (encode_constants.h) in order; the first with
///      the least score holds. reach = the largest magnitude that m * c can have on both sides. Several candidates of 4
///      bits are evaluated with three of the eight multipliers, and the one that holds once more with all: with P the
///      largest u and N the largest -u of a group, M = 1 + how many of 1, 2, 3 are below max(P, N) * (1 / 31), and
///      sign + where N >= P (codes reach further below zero), else -: sign M, -sign M, sign (M - 1), or sign 2 for M =
///      1
///   2. `refits` times: s' = bf16(s * (sum of (importance * q) * u / sum of (importance * q) * q)), q = m * c; it is
///      evaluated with all multipliers, and holds when its score is less; else this ends
///   3. codes stay, and the scale moves to s' once more
/// The nearest code: of 4 and 5 bits the count of middles between neighbours that are below y; of 6 bits 2 * round(y /
/// 2) (to the nearest even), within -62 .. 62, and -63 where y < -62.5. A row of a block without a magnitude of 2^-100
/// becomes zeros.
struct EncodePacked {
  static constexpr std::string_view kName = "encode_packed";
  struct Spec {
    std::int64_t columns = 0;
    const WeightFormat* format = nullptr;
    int candidates = 1;  // 1 .. 64
    int refits = 0;      // 0 .. 8
  };
  struct Args {
    TensorView values;
    TensorView importance;
    std::byte* matrix = nullptr;
    TensorView errors;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<EncodePacked>> cases(CaseScale scale);
};

}  // namespace corbel
