#pragma once

/// What EncodePacked is made of, for its reference and for kernels (which include no more than plain structs).
namespace corbel {

/// Scales tried for a row and block: largest magnitude / reach * (low + c * step), c = 0 .. candidates - 1; a single
/// candidate is 1. Four bits may clip: the best scale of a Gaussian block lies between 0.62 and 1.14 of what its
/// largest value asks for (measured); six bits may not, they would lose more than they gain.
struct EncodeRange {
  float low;
  float span;
  constexpr float factor(int candidate, int candidates) const {
    if (candidates == 1) return 1.0F;
    return low + span * static_cast<float>(candidate) / static_cast<float>(candidates - 1);
  }
};
inline constexpr EncodeRange kEncodeRange4{0.66F, 0.44F};
inline constexpr EncodeRange kEncodeRange5{0.80F, 0.30F};
inline constexpr EncodeRange kEncodeRange6{0.93F, 0.12F};

constexpr const EncodeRange& encode_range(int code_bits) {
  return code_bits == 6 ? kEncodeRange6 : (code_bits == 5 ? kEncodeRange5 : kEncodeRange4);
}
/// The largest magnitude that multiplier * code can have on both sides.
constexpr float encode_reach(int code_bits) { return code_bits == 6 ? 126.0F : (code_bits == 5 ? 125.0F : 124.0F); }

inline constexpr float kSmallestEncoded = 0x1p-100F;  // rows of a block with no larger magnitude become zeros

/// What comes of one row of a block, in units of its largest magnitude (so that squares neither vanish nor overflow).
struct EncodeErrors {
  float largest;          // magnitude
  float signal;           // sum of squares
  float noise;            // sum of squared errors
  float weighted_signal;  // the same, each square times the column's importance
  float weighted_noise;
};
inline constexpr int kEncodeErrorFloats = 5;

}  // namespace corbel
