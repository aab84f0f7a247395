#pragma once
#include <string>

#include "corbel/base/cat.h"

/// The program is wrong: a broken promise between two of our own functions. On in every build; never reachable from a
/// file or a request. The message goes to the log sink, then the process aborts.
namespace corbel {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);
}

#define CORBEL_CHECK(condition, ...)                                                      \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::corbel::check_failed(__FILE__, __LINE__, #condition, ::corbel::cat(__VA_ARGS__)); \
  } while (false)
