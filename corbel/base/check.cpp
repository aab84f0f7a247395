#include "corbel/base/check.h"

#include <cstdlib>

#include "corbel/base/log.h"

namespace corbel {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  log(LogLevel::error, cat("check failed at ", file, ':', line, ": ", condition, ": ", message));
  std::abort();
}

}  // namespace corbel
