#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace corbel {

/// Regexes (each for a whole text, all must match) of the texts written for a JSON schema `format`. They stay inside
/// what the named RFC allows: dates exist, hosts have no A-labels, URIs no IPv6 literals.
std::optional<std::vector<std::string_view>> string_format(std::string_view name);

/// Formats that say something about numbers or storage and constrain no text: "double", "float", "password", ...
bool is_annotation_format(std::string_view name);

/// Names that string_format knows, for messages and tests.
std::span<const std::string_view> string_format_names();

}  // namespace corbel
