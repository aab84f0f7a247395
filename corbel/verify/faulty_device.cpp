#include "corbel/verify/faulty_device.h"

namespace corbel {

FaultyDevice::FaultyDevice(Device& inner) : Device(inner.info(), MissingOps::strict, inner.pool()), inner_(inner) {
  for_each_op([this]<typename Op>() {
    table_.entry<Op>().prepare = [](const typename Op::Spec& spec, const Device& device) {
      return inner_of(device).prepare<Op>(spec);
    };
  });
}

}  // namespace corbel
