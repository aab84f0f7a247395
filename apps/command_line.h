#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corbel::app {

/// The flags of one command: what they are called, what they fill, and the parser behind (one source file knows it).
/// Names are given as "--top-k" or "top-k"; the user may write --top_k, too. What a flag fills must outlive parse().
class CommandLine {
 public:
  CommandLine(std::string_view command, std::string_view summary);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  void text(std::string_view flag, std::string& value, std::string_view help);
  void texts(std::string_view flag, std::vector<std::string>& values, std::string_view help);  // repeatable
  void number(std::string_view flag, std::optional<double>& value, std::string_view help);
  void integer(std::string_view flag, std::optional<std::int64_t>& value, std::string_view help);
  void toggle(std::string_view flag, bool& value, std::string_view help);
  void choice(std::string_view flag, std::string& value, const std::vector<std::string>& allowed,
              std::string_view help);
  void positionals(std::string_view name, std::vector<std::string>& values, std::string_view help);
  struct Flag {
    std::string name;  // without dashes
    bool takes_value = true;
  };
  const std::vector<Flag>& flags() const { return flags_; }
  void example(std::string_view line);  // shown below the flags

  /// Fills the values. An exit code when that is all there is to do: --help was printed, or the usage was wrong (a
  /// message was printed). `place` says what stands behind a flag that a message names: where its value came from.
  using Place = std::function<std::string(std::string_view flag)>;  // without dashes
  std::optional<int> parse(const std::vector<std::string>& arguments, const Place& place = {});

 private:
  struct Parser;
  void add(std::string_view flag, bool takes_value);
  std::unique_ptr<Parser> parser_;
  std::vector<Flag> flags_;
};

}  // namespace corbel::app
