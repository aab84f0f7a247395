#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corbel {

/// Where the fields of a request stand from which a chat completion's body was made: what refuses or warns of a made
/// field then names the client's own.
class FieldNames {
 public:
  /// What stands at `made`, and below it, comes from `given`.
  void add(std::string made, std::string given) { names_.emplace_back(std::move(made), std::move(given)); }
  /// The text with each made path that stands in quotation marks replaced; of several that fit, by the longest one.
  std::string rename(std::string_view text) const;

 private:
  std::string rename_path(std::string_view path) const;
  std::vector<std::pair<std::string, std::string>> names_;
};

}  // namespace corbel
