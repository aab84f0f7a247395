// A Result that nobody looks at is an error that nobody sees.
// expect: ignoring returned value of type .*Result
#include "corbel/base/result.h"

corbel::Result<void> open_file();

void use() {
#ifdef CORBEL_MUST_COMPILE
  if (!open_file()) return;
#else
  open_file();
#endif
}
