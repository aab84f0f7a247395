#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The corbel command: flags, printing, exit codes. Everything it does is calls on the library's headers.
namespace corbel::app {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;      // the world is wrong: a file, a device, memory
inline constexpr int kWrongUsage = 2;  // the command line is wrong
inline constexpr int kInterrupted = 130;

/// One subcommand. `arguments` are those after its name; what it returns is the exit code.
struct Command {
  std::string_view name;
  std::string_view summary;  // one line of `corbel help`
  int (*run)(const std::vector<std::string>& arguments);
};

/// All subcommands, in the order of `corbel help`.
std::span<const Command> commands();

}  // namespace corbel::app
