#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/environment.h"
#include "apps/package_report.h"
#include "apps/terminal.h"
#include "corbel/engine/memory_plan.h"

namespace corbel::app {

int run_inspect(const std::vector<std::string>& arguments);

namespace {

struct InspectFlags {
  std::vector<std::string> models;
  bool tensors = false;
  bool check = false;
  bool json = false;
};

/// Reads the whole file; on a terminal, shows how far it is.
Result<void> check_all(const Artifact& artifact) {
  const std::int64_t all = std::ssize(artifact.file().bytes());
  std::int64_t shown = -1;
  const auto progress = [&](std::int64_t done) {
    const std::int64_t percent = done * 100 / all;
    if (errors_are_terminal() && percent != shown)
      print_error_text(cat("\rchecking ", bytes_text(all), ": ", shown = percent, "%"));
    return !interrupted();
  };
  const Result<void> checked = artifact.check(progress);
  if (shown >= 0) print_error_text("\n");
  return checked;
}

int inspect(const InspectFlags& flags) {
  auto package = find_package(flags.models[0]);
  if (!package) return report(package.error());
  if (flags.check) {
    const Artifact* artifact = (*package)->artifact();
    if (artifact == nullptr) {
      print_error(cat((*package)->description(), " is a ", package_kind_name((*package)->kind()),
                      ", which has no checksums; --check is for artifacts"));
      return kFailed;
    }
    catch_interrupts();
    if (const auto checked = check_all(*artifact); !checked)
      return checked.error().code == Code::cancelled ? kInterrupted : report(checked.error());
  }
  const auto described = describe_package(*std::move(package));
  if (!described) return report(described.error());
  if (flags.json) {
    Json json = report_json(*described);
    if (flags.check) json["checked"] = true;
    if (flags.tensors) json["tensors"] = tensors_json(*described);
    return print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n") ? kOk : kFailed;
  }
  std::string text = report_text(*described);
  if (flags.tensors) text += "\n" + tensors_text(*described);
  if (flags.check) text += "\nchecked: every section has its checksum\n";
  return print(text) ? kOk : kFailed;
}

}  // namespace

int run_inspect(const std::vector<std::string>& arguments) {
  InspectFlags flags;
  CommandLine line("inspect", "Shows what a model is made of: sizes, formats, context, tokenizer, manifest.");
  line.positionals("model", flags.models, "an artifact (FILE.corbel#PROFILE for one of several), folder or GGUF file");
  line.toggle("--tensors", flags.tensors, "every tensor with its format, shape and size");
  line.toggle("--check", flags.check, "read the whole artifact and compare it with its checksums");
  line.toggle("--json", flags.json, "for machines");
  line.example("corbel inspect model.corbel --check");
  line.example("corbel inspect ~/models/Llama-3.2-1B-Instruct --tensors");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.models.size() != 1) {
    print_error(cat("which model? corbel inspect MODEL; found ", flags.models.size(), " names"));
    return kWrongUsage;
  }
  return inspect(flags);
}

}  // namespace corbel::app
