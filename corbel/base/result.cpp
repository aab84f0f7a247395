#include "corbel/base/result.h"

namespace corbel {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::bad_file: return "bad_file";
    case Code::bad_request: return "bad_request";
    case Code::unsupported: return "unsupported";
    case Code::no_memory: return "no_memory";
    case Code::cancelled: return "cancelled";
    case Code::device_failed: return "device_failed";
  }
  return "unknown";
}

}  // namespace corbel
