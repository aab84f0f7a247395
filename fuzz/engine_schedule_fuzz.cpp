// Engines of any shape, requests at any time, cancelled, interrupted and preempted: every answer is the one that the
// model's definition gives, and no page is lost.
#include <cstdio>
#include <cstdlib>

#include "tests/engine/random_schedule.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const std::string wrong = corbel::RandomSchedule({data, size}).run();
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}
