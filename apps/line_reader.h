#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace corbel::app {

/// Reads lines: with editing and a history file on a terminal, plainly from a pipe.
class LineReader {
 public:
  /// `history` may be empty: none is kept. It is private to the user (mode 600).
  explicit LineReader(std::filesystem::path history);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  enum class End { none, input, interrupt };
  struct Line {
    std::string text;  // without the newline
    End end = End::none;
  };
  Line next(const std::string& prompt);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  // null in a pipe
};

}  // namespace corbel::app
