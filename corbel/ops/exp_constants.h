#pragma once

namespace corbel {

/// What exp_f32 (corbel/ops/arithmetic.h) is made of. Apart, and including nothing, for kernels that may not see the
/// standard library.
struct ExpConstants {
  static constexpr float kLog2E = 0x1.715476p0F;
  static constexpr float kLn2High = 0x1.62e4p-1F;    // 15 bits: n * kLn2High is exact for |n| < 2^9
  static constexpr float kLn2Low = 0x1.7f7d1cp-20F;  // ln 2 - kLn2High
  static constexpr float kLow = -87.3F;
  static constexpr float kHigh = 88.7F;
  // exp(r) ~ 1 + r + r^2 (kC2 + kC3 r + ... + kC6 r^4): (exp(r) - 1 - r) / r^2 interpolated at the five Chebyshev nodes
  // of |r| <= 1.0005 ln(2) / 2, rounded to float. Relative error 1.1e-8; Taylor's coefficients would give 1.7e-7.
  static constexpr float kC6 = 0x1.6d113cp-10F;
  static constexpr float kC5 = 0x1.120ba2p-7F;
  static constexpr float kC4 = 0x1.55551ap-5F;
  static constexpr float kC3 = 0x1.5554dcp-3F;
  static constexpr float kC2 = 0.5F;
};

}  // namespace corbel
