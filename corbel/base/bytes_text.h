#pragma once
#include <cstdint>
#include <string>

namespace corbel {

/// "1.24 GB", "312 MB", "17 kB": decimal units, as in the sizes of files.
std::string bytes_text(std::int64_t bytes);

}  // namespace corbel
