// Weights of one kind of norm cannot be made from the spec of the other.
// expect: invalid initialization of reference|could not convert|cannot convert
#include "corbel/blocks/normalization.h"

bool use(const corbel::RmsNormSpec& right, const corbel::LayerNormSpec& wrong, const corbel::WeightContext& context) {
#ifdef CORBEL_MUST_COMPILE
  static_cast<void>(wrong);
  return corbel::make_rms_norm_weights(right, "model.norm", context).has_value();
#else
  static_cast<void>(right);
  return corbel::make_rms_norm_weights(wrong, "model.norm", context).has_value();
#endif
}
