// What was prepared for one op cannot run as another.
// expect: no match for .*operator=|cannot convert
#include "corbel/device/op_table.h"

void use(corbel::Prepared<corbel::RmsNorm>& slot, const corbel::Prepared<corbel::RmsNorm>& same,
         const corbel::Prepared<corbel::LayerNorm>& other) {
#ifdef CORBEL_MUST_COMPILE
  slot = same;
  static_cast<void>(other);
#else
  slot = other;
  static_cast<void>(same);
#endif
}
