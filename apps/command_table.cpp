#include <array>

#include "apps/command.h"

namespace corbel::app {

int run_chat(const std::vector<std::string>& arguments);
int run_batch(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);
int run_compile(const std::vector<std::string>& arguments);
int run_combine(const std::vector<std::string>& arguments);
int run_diff(const std::vector<std::string>& arguments);
int run_embed(const std::vector<std::string>& arguments);
int run_doctor(const std::vector<std::string>& arguments);
int run_extract(const std::vector<std::string>& arguments);
int run_inspect(const std::vector<std::string>& arguments);
int run_parse(const std::vector<std::string>& arguments);
int run_pull(const std::vector<std::string>& arguments);
int run_replay(const std::vector<std::string>& arguments);
int run_run(const std::vector<std::string>& arguments);
int run_template(const std::vector<std::string>& arguments);
int run_serve(const std::vector<std::string>& arguments);
int run_tokenize(const std::vector<std::string>& arguments);
int run_tune(const std::vector<std::string>& arguments);
int run_verify(const std::vector<std::string>& arguments);

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"run", "answer one prompt", run_run},
      Command{"chat", "talk with a model", run_chat},
      Command{"serve", "answer OpenAI's API over HTTP", run_serve},
      Command{"pull", "download a model from the Hugging Face hub", run_pull},
      Command{"batch", "answer a file of requests, many at once", run_batch},
      Command{"replay", "make an answer again from its receipt, and compare", run_replay},
      Command{"embed", "turn texts into vectors", run_embed},
      Command{"bench", "measure prefill and decode beside what the machine could do", run_bench},
      Command{"compile", "turn a checkpoint into one quantized file that starts at once", run_compile},
      Command{"inspect", "show what a model is made of; check an artifact", run_inspect},
      Command{"diff", "compare two models: config, formats, values", run_diff},
      Command{"combine", "put several artifacts into one file", run_combine},
      Command{"extract", "take one profile out of an artifact", run_extract},
      Command{"verify", "compare a model, module by module, with what Hugging Face answered", run_verify},
      Command{"tokenize", "show the pieces and ids that a text becomes, or the text of ids", run_tokenize},
      Command{"template", "show the prompt that a model's chat template makes of messages", run_template},
      Command{"parse", "take a model's answer apart: reasoning, content, tool calls", run_parse},
      Command{"tune", "find this machine's best sizes of work, once; results keep their bits", run_tune},
      Command{"doctor", "examine this machine: instruction sets, memory, speed, every op", run_doctor},
  };
  return kCommands;
}

}  // namespace corbel::app
