#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "corbel/text/flat_tables.h"

namespace corbel {

/// Where a text may be cut without changing what merging makes of it: between two neighbouring characters that stand
/// side by side in no token. Why that is exact: a merge across the cut would make a token that has the two side by
/// side; so none happens, and what merges on one side never looks at the other.
/// Takes bytes as they come, valid UTF-8 or not; tokens may start and end inside a character. May miss a cut (a
/// 128 KB table of hashed pairs), never gives a wrong one.
class Seams {
 public:
  /// Forgets all; then every place is a seam until tokens are added.
  void clear();

  /// The two sides of each place inside `token` are no seam from now on.
  void add_token(std::string_view token);

  /// May the text be cut before text[at]? REQUIRES: clear() was called; 0 < at < text.size().
  bool is_seam(std::string_view text, std::size_t at) const noexcept;

  bool empty() const noexcept { return joined_.empty(); }

  void save(FlatWriter& to) const;
  static Result<Seams> load(FlatReader& from);

 private:
  void join(std::uint32_t left, std::uint32_t right) noexcept;
  bool is_joined(std::uint32_t left, std::uint32_t right) const noexcept;

  std::vector<std::uint64_t> joined_;  // a bit per pair of neighbours: exact for ASCII, hashed for the rest
  bool any_left_ = false;              // a token starts inside a character
  bool part_right_ = false;            // a token ends inside a character
};

}  // namespace corbel
