// Memory of a device has one owner.
// expect: use of deleted function
#include <utility>

#include "corbel/device/device.h"

corbel::DeviceMemory use(corbel::DeviceMemory memory) {
#ifdef CORBEL_MUST_COMPILE
  corbel::DeviceMemory other = std::move(memory);
#else
  corbel::DeviceMemory other = memory;
#endif
  return other;
}
