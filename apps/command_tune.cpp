#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/device_setup.h"
#include "apps/table.h"
#include "apps/terminal.h"
#include "apps/tuning_file.h"
#include "corbel/base/json.h"

namespace corbel::app {

int run_tune(const std::vector<std::string>& arguments);

namespace {

struct TuneFlags {
  std::optional<std::int64_t> threads;
  bool forget = false;
  bool json = false;
};

std::string trials_text(const TuningReport& report) {
  Table table({"what", ">value", ">time", ""});
  for (const TuningTrial& trial : report.trials) {
    char share[32];
    std::snprintf(share, sizeof share, "%.3f", trial.time);
    table.row(
        {trial.name, std::to_string(trial.value), share, report.tuning.at(trial.name) == trial.value ? "taken" : ""});
  }
  return table.text();
}

Result<void> tune(const TuneFlags& flags) {
  DeviceChoice choice;
  choice.threads = flags.threads;
  CORBEL_ASSIGN(const OpenDevice open, open_device(choice));
  const std::filesystem::path& file = open.tuning;
  if (flags.forget) {
    std::error_code error;
    const bool was = std::filesystem::remove(file, error);
    if (error) return fail(Code::bad_file, cat("cannot remove ", file.string(), ": ", error.message()));
    print(was ? cat("forgotten: ", file.string(), "\n") : "there was no tuning\n");
    return {};
  }
  CORBEL_TRY(make_tuning_folder(file));
  CORBEL_ASSIGN(const TuningReport report,
                open.device->tune([](const std::string& name) { print_error_text(cat("trying ", name, "\n")); }));
  CORBEL_TRY(save_tuning(file, report.tuning));
  if (flags.json) {
    Json trials = Json::array();
    for (const TuningTrial& trial : report.trials)
      trials.push_back({{"name", trial.name}, {"value", trial.value}, {"time", trial.time}});
    print(Json{{"file", file.string()}, {"tuning", report.tuning}, {"trials", trials}}.dump() + "\n");
    return {};
  }
  print(cat(open.device->info().profile(), ", ", open.device->info().threads, " threads; time beside the default\n",
            trials_text(report), "kept in ", file.string(), "\n"));
  return {};
}

}  // namespace

int run_tune(const std::vector<std::string>& arguments) {
  TuneFlags flags;
  CommandLine line("tune",
                   "Tries how large units of work should be on this machine and when to unpack weights, and keeps what "
                   "is best for later runs. Some seconds; no result changes by a bit.");
  line.integer("--threads", flags.threads, "threads (default: every processor this process may use)");
  line.toggle("--forget", flags.forget, "go back to the defaults");
  line.toggle("--json", flags.json, "for machines");
  if (const auto code = line.parse(arguments)) return *code;
  DeviceChoice choice;
  choice.threads = flags.threads;
  if (const auto valid = choice.validate(); !valid) {
    print_error(valid.error().message);
    return kWrongUsage;
  }
  const auto done = tune(flags);
  return done ? kOk : report(done.error());
}

}  // namespace corbel::app
