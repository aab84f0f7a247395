#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "corbel/base/result.h"

namespace corbel {

/// Does this start as a gzip file does (RFC 1952)?
bool is_gzip(std::string_view bytes) noexcept;

/// The content of a gzip file, at most `max_bytes`. Refused: files that are cut off, damaged (checksum) or followed by
/// other bytes, and those that grow beyond the limit. `source` names the file in messages.
Result<std::string> gunzip(std::string_view bytes, const std::string& source, std::size_t max_bytes);

}  // namespace corbel
