#pragma once
#include "corbel/base/result.h"

namespace corbel::app {

/// Takes away, for good and from all threads, the system calls that a running server never makes and that who breaks
/// into one would: other programs and processes, mounts, new sockets, identities, the kernel's own affairs. They fail
/// with EPERM. Refused where the kernel has no filters.
Result<void> restrict_system_calls();

}  // namespace corbel::app
