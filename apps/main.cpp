#include <algorithm>
#include <csignal>

#include "apps/command.h"
#include "apps/terminal.h"
#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel::app {
namespace {

std::string overview() {
  std::string text = "usage: corbel COMMAND [flags]\n\ncommands:\n";
  for (const Command& command : commands()) {
    text += cat("  ", command.name,
                std::string(std::max<std::size_t>(10, command.name.size() + 1) - command.name.size(), ' '),
                command.summary, "\n");
  }
  return text + "\ncorbel COMMAND --help lists a command's flags. Try: corbel run \"What is a KV cache?\"\n";
}

/// Edits that lead from one word to the other.
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

int refuse_unknown(const std::string& name) {
  const auto nearest = std::min_element(commands().begin(), commands().end(), [&](const Command& a, const Command& b) {
    return distance(name, a.name) < distance(name, b.name);
  });
  std::string message = cat("unknown command ", quote(name));
  if (distance(name, nearest->name) <= 2) message += cat("; did you mean \"", nearest->name, "\"?");
  print_error(message + "; `corbel help` lists them");
  return kWrongUsage;
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) {
    print_error_text(overview());
    return kWrongUsage;
  }
  const std::string& name = words.front();
  if (name == "--version" || name == "-V" || name == "version")
    return print("corbel " CORBEL_VERSION "\n") ? kOk : kFailed;
  if (name == "help" && words.size() > 1) return dispatch({words[1], "--help"});
  if (name == "help" || name == "--help" || name == "-h") return print(overview()) ? kOk : kFailed;
  for (const Command& command : commands()) {
    if (command.name == name) return command.run({words.begin() + 1, words.end()});
  }
  return refuse_unknown(name);
}

}  // namespace
}  // namespace corbel::app

int main(int argc, char** argv) {
  // A reader that leaves (`corbel run ... | head`) ends the command silently, also when the parent ignores the signal.
  std::signal(SIGPIPE, SIG_DFL);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is told like a full disk, and nothing half-written stays behind
  corbel::app::install_log();
  return corbel::app::dispatch({argv + std::min(argc, 1), argv + argc});
}
