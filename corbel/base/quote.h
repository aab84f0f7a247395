#pragma once
#include <string>
#include <string_view>

namespace corbel {

/// Text from outside as a message repeats it: at most 100 bytes, printable ASCII ('?' for the rest), in quotation
/// marks. A hostile name can then neither flood a log nor steer a terminal.
std::string quote(std::string_view text);

/// The same without the marks.
std::string clip(std::string_view text);

}  // namespace corbel
