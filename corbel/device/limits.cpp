#include "corbel/device/limits.h"

#include "corbel/device/device.h"

namespace corbel {

Result<MachineLimits> Device::measure_limits(const LimitSettings&) {
  return fail(Code::unsupported, cat("device \"", info_.name, "\" has no limits to measure; measure device \"cpu\""));
}

Result<TuningReport> Device::tune(const TuningProgress&) {
  return fail(Code::unsupported, cat("device \"", info_.name, "\" has nothing to tune; tune device \"cpu\""));
}

}  // namespace corbel
