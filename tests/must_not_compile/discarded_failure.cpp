// fail() without return says nothing to anybody.
// expect: ignoring return value of .*fail
#include "corbel/base/result.h"

corbel::Result<int> count() {
#ifdef CORBEL_MUST_COMPILE
  return corbel::fail(corbel::Code::bad_file, "no file");
#else
  corbel::fail(corbel::Code::bad_file, "no file");
  return 0;
#endif
}
