#include <filesystem>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/terminal.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/format/artifact.h"
#include "corbel/format/artifact_combine.h"

namespace corbel::app {

int run_combine(const std::vector<std::string>& arguments);
int run_extract(const std::vector<std::string>& arguments);

namespace {

int print_written(const std::string& path) {
  const auto artifact = Artifact::open(path);
  if (!artifact) return report(artifact.error());
  std::string text = cat(path, ": ", bytes_text(std::ssize((*artifact)->file().bytes())), ", profiles");
  for (const ArtifactProfile& profile : (*artifact)->manifest().profiles) text += cat(' ', profile.name);
  return print(text + "\n") ? kOk : kFailed;
}

}  // namespace

int run_combine(const std::vector<std::string>& arguments) {
  std::vector<std::string> inputs;
  std::string output;
  CommandLine line("combine", "Puts several artifacts into one file, a profile each; equal tensors are stored once.");
  line.positionals("artifacts", inputs, "two or more");
  line.text("-o,--output", output, "the file to write");
  line.example("corbel combine fast.corbel accurate.corbel -o both.corbel");
  line.example("corbel run --model both.corbel#accurate \"What is a KV cache?\"");
  if (const auto code = line.parse(arguments)) return *code;
  if (inputs.size() < 2 || output.empty()) {
    print_error("corbel combine A B ... -o FILE: two artifacts or more, and where to write them");
    return kWrongUsage;
  }
  const std::vector<std::filesystem::path> paths(inputs.begin(), inputs.end());
  if (const auto done = combine_artifacts(paths, output); !done) return report(done.error());
  return print_written(output);
}

int run_extract(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  std::string output;
  CommandLine line("extract", "Writes one profile of an artifact as an artifact of its own.");
  line.positionals("artifact profile", words, "the artifact and the name of a profile");
  line.text("-o,--output", output, "the file to write");
  line.example("corbel extract both.corbel accurate -o accurate.corbel");
  if (const auto code = line.parse(arguments)) return *code;
  if (words.size() != 2 || output.empty()) {
    print_error("corbel extract FILE PROFILE -o FILE; corbel inspect FILE lists the profiles");
    return kWrongUsage;
  }
  if (const auto done = extract_profile(words[0], words[1], output); !done) return report(done.error());
  return print_written(output);
}

}  // namespace corbel::app
