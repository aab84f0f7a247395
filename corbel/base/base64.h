#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace corbel {

/// Base64 with padding, no line ends (RFC 4648, section 4).
std::string base64_of(std::span<const std::byte> bytes);

}  // namespace corbel
