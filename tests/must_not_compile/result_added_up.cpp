// Success is asked for in a condition; it is no number.
// expect: cannot convert .*Result<void>.* to .*bool
#include "corbel/base/result.h"

corbel::Result<void> check();

bool use() {
#ifdef CORBEL_MUST_COMPILE
  return static_cast<bool>(check());
#else
  const bool good = check();
  return good;
#endif
}
