#include "corbel/compile/calibration.h"

namespace corbel {

std::string_view built_in_calibration_text() {
  static constexpr std::string_view kText =
#include "corbel/compile/calibration_text.inc"
      ;
  return kText;
}

}  // namespace corbel
