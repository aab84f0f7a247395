#pragma once
#include "corbel/ops/op.h"

namespace corbel {

/// Root-mean-square normalization of each row: out = (x * r) * g with r = 1 / sqrt(mean(x^2) + eps), g = gamma or 1 +
/// gamma.
///
/// x, out  f32 [rows, hidden]; out may be x. Per-head norms pass [rows * heads, head_dim].
/// gamma   f32 [hidden]
/// The sum of squares uses 16 lanes of fused multiply-add and the tree of linear.h, and is divided by float(hidden);
/// sqrt and division are IEEE.
/// A row of zeros gives zeros. Source: arXiv 1910.07467; order of products as in HF modeling_llama.py LlamaRMSNorm.
struct RmsNorm {
  static constexpr std::string_view kName = "rms_norm";
  struct Spec {
    std::int64_t hidden = 0;
    float eps = 1e-5F;
    bool gamma_plus_one = false;  // y = x_hat * (1 + gamma)
  };
  struct Args {
    TensorView x;
    TensorView gamma;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<RmsNorm>> cases(CaseScale scale);
};

/// Layer normalization of each row: out = ((x - m) * r) * gamma + beta with m the mean, r = 1 / sqrt(mean((x - m)^2) +
/// eps).
///
/// x, out f32 [rows, hidden]; out may be x. gamma f32 [hidden]; beta f32 [hidden] or empty.
/// Both sums use 16 lanes (additions for m, fused multiply-add of x - m for the squares; the padded tail of x - m is 0)
/// and the tree of linear.h, and are divided by float(hidden); the last step is (x_hat * gamma) + beta, rounded twice.
/// Source: arXiv 1607.06450.
struct LayerNorm {
  static constexpr std::string_view kName = "layer_norm";
  struct Spec {
    std::int64_t hidden = 0;
    float eps = 1e-5F;
  };
  struct Args {
    TensorView x;
    TensorView gamma;
    TensorView beta;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<LayerNorm>> cases(CaseScale scale);
};

}  // namespace corbel
