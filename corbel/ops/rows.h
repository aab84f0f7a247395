#pragma once
#include "corbel/format/weight_format.h"
#include "corbel/ops/linear.h"
#include "corbel/ops/op.h"

/// Ops that move or combine whole rows.
namespace corbel {

/// out[r] = table[ids[r]] * scale, decoded to f32. ids i32 [rows], each in 0 .. entries-1 (the caller has checked);
/// table [entries, hidden] in `format`; out f32 [rows, hidden]. scale 1 leaves the bits alone.
struct Embedding {
  static constexpr std::string_view kName = "embedding";
  struct Spec {
    std::int64_t entries = 0;
    std::int64_t hidden = 0;
    const WeightFormat* format = nullptr;
    float scale = 1.0F;
  };
  struct Args {
    TensorView ids;
    const std::byte* table = nullptr;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<Embedding>> cases(CaseScale scale);
};

/// out = a + b, f32 [rows, hidden] each; out may be a or b.
struct Add {
  static constexpr std::string_view kName = "add";
  struct Spec {
    std::int64_t hidden = 0;
  };
  struct Args {
    TensorView a;
    TensorView b;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<Add>> cases(CaseScale scale);
};

/// out[i] = x[index[i]]: x f32 [rows, hidden], index i32 [out rows], out f32 [out rows, hidden]; no overlap.
struct GatherRows {
  static constexpr std::string_view kName = "gather_rows";
  struct Spec {
    std::int64_t hidden = 0;
  };
  struct Args {
    TensorView x;
    TensorView index;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<GatherRows>> cases(CaseScale scale);
};

}  // namespace corbel
