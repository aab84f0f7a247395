#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace corbel {

/// Whether a stop string that was met is part of the text.
enum class StopText { left_out, included };

/// Lets text through up to the first stop string, wherever the pieces are cut: text that could still become a stop
/// string is held back until it is decided.
class StopStrings {
 public:
  /// Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops, StopText text = StopText::left_out);

  /// The text that may go out now. After a stop string was met nothing goes out any more.
  std::string push(std::string_view piece);
  /// What was held back in vain.
  std::string finish();
  bool met() const noexcept { return met_ != kNone; }
  /// The one that was met; of those that begin at the same place the first of the list. Null before.
  const std::string* met_string() const noexcept { return met() ? &stops_[met_] : nullptr; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // shorter than the longest stop string
  StopText text_;
  static constexpr std::size_t kNone = std::string::npos;
  std::size_t met_ = kNone;  // index into stops_
};

}  // namespace corbel
