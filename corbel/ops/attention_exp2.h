#pragma once

namespace corbel {

/// What exp2_f32 (corbel/ops/attention_reference.h) is made of. Apart, and including nothing, for kernels that may not
/// see the standard library.
struct Exp2Constants {
  static constexpr float kLow = -100.0F;
  // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves it in the lower bits.
  static constexpr float kRound = 0x1.8p23F;
  // 2^r ~ 1 + kC1 r + ... + kC4 r^4 on |r| <= 1/2: smallest largest relative error with 1 at r = 0 (Lawson's iteration
  // in double), rounded to float. Relative error 2.9e-6; a weight is rounded to bf16 (2e-3) afterwards.
  static constexpr float kC1 = 0x1.62e12cp-1F;
  static constexpr float kC2 = 0x1.ec0378p-3F;
  static constexpr float kC3 = 0x1.c9fc64p-5F;
  static constexpr float kC4 = 0x1.3a02f8p-7F;
};

/// Of an int8 cache's arithmetic: the largest query element and the largest weight as integers (attention.h).
inline constexpr float kQueryIntegers = 16383.0F;
inline constexpr float kWeightIntegers = 32767.0F;

}  // namespace corbel
