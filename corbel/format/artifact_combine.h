#pragma once
#include <filesystem>
#include <span>
#include <string_view>

#include "corbel/base/result.h"

namespace corbel {

/// Writes one artifact with all profiles of several, in their order; tensors and files that are equal (same format,
/// shape and checksums) are stored once. A profile called "default" takes the name of its file without the extension; a
/// name that is taken gets "-2", "-3", ... The written file replaces an old one only when it is complete. Refused:
/// fewer than two inputs, inputs of different targets, an output that is one of them.
Result<void> combine_artifacts(std::span<const std::filesystem::path> inputs, const std::filesystem::path& output);

/// Writes one profile of an artifact as an artifact of its own, where it is called "default": taking apart what was
/// combined gives the same bytes again. Refused: an output that is the input.
Result<void> extract_profile(const std::filesystem::path& input, std::string_view profile,
                             const std::filesystem::path& output);

}  // namespace corbel
