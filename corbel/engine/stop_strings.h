#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace corbel {

/// Lets text through up to the first stop string, wherever the pieces are cut: text that could still become a stop
/// string is held back until it is decided.
class StopStrings {
 public:
  /// Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  /// The text that may go out now. After a stop string was met nothing goes out any more.
  std::string push(std::string_view piece);
  /// What was held back in vain.
  std::string finish();
  bool met() const noexcept { return met_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // shorter than the longest stop string
  bool met_ = false;
};

}  // namespace corbel
