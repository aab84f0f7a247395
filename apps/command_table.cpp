#include <array>

#include "apps/command.h"

namespace corbel::app {

int run_chat(const std::vector<std::string>& arguments);
int run_run(const std::vector<std::string>& arguments);

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"run", "answer one prompt", run_run},
      Command{"chat", "talk with a model", run_chat},
  };
  return kCommands;
}

}  // namespace corbel::app
