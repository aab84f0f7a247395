// A value comes out of a Result by saying so, never by conversion.
// expect: cannot convert .*Result<int>.* to .*int
#include "corbel/base/result.h"

corbel::Result<int> count();

int use() {
#ifdef CORBEL_MUST_COMPILE
  const int tokens = *count();
#else
  const int tokens = count();
#endif
  return tokens;
}
