#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apps/command_line.h"
#include "corbel/base/result.h"

namespace corbel::app {

/// A command's words, with those that its settings file and the environment add, and where each flag came from.
struct Settings {
  std::vector<std::string> words;
  std::map<std::string, std::string, std::less<>> origins;  // by flag, without dashes; the command line's are not here
  /// " (CORBEL_SERVE_PORT)" behind a flag in a message; nothing when it was on the command line.
  std::string origin(std::string_view flag) const;
};

/// Adds what `words` leave open: from variables PREFIX + NAME (CORBEL_SERVE_MAX_QUEUE), then from the file that
/// --config names: a JSON object, or lines `name = value` with `#` before remarks. `model` stands for the words without
/// dashes. Refused, by name: what is no flag here, what is no value.
Result<Settings> read_settings(const std::vector<std::string>& words, const std::vector<CommandLine::Flag>& flags,
                               std::string_view prefix);

}  // namespace corbel::app
