#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/environment.h"
#include "apps/hub_setup.h"
#include "apps/number_text.h"
#include "apps/terminal.h"
#include "corbel/base/bytes_text.h"

namespace corbel::app {

int run_pull(const std::vector<std::string>& arguments);

namespace {

struct PullFlags {
  std::vector<std::string> repositories, include, exclude;
  std::string revision = "main";
  std::optional<std::int64_t> retries;
  bool dry_run = false, json = false;
};

Json file_json(const RemoteFile& file) {
  return {
      {"path", file.path}, {"bytes", file.bytes}, {file.kind == HashKind::sha256 ? "sha256" : "git_sha1", file.hash}};
}

Json plan_json(const PullPlan& plan) {
  return {{"repository", plan.request.repository},
          {"revision", plan.request.revision},
          {"commit", plan.commit},
          {"folder", plan.snapshot().string()},
          {"bytes", plan.bytes()},
          {"missing_bytes", plan.missing_bytes()}};
}

bool print_json(const Json& json) { return print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

int show_plan(const PullPlan& plan, const PullFlags& flags) {
  if (flags.json) {
    Json json = plan_json(plan);
    for (const PlannedFile& planned : plan.files) {
      Json file = file_json(planned.file);
      file["present_bytes"] = planned.present_bytes;
      json["files"].push_back(std::move(file));
    }
    return print_json(json) ? kOk : kFailed;
  }
  std::string text;
  for (const PlannedFile& planned : plan.files) {
    const bool whole = planned.present_bytes == planned.file.bytes;
    text += format("%10s  ", bytes_text(planned.file.bytes).c_str()) + planned.file.path;
    if (whole) text += "  (present)";
    if (!whole && planned.present_bytes > 0) text += cat("  (", bytes_text(planned.present_bytes), " present)");
    text += "\n";
  }
  text += cat(pull_summary(plan), " to ", plan.snapshot().string(), "\n");
  return print(text) ? kOk : kFailed;
}

int show_pulled(const PullPlan& plan, const std::vector<PulledFile>& pulled, const PullFlags& flags) {
  if (!flags.json) return print(cat(plan.snapshot().string(), "\n")) ? kOk : kFailed;
  Json json = plan_json(plan);
  json.erase("missing_bytes");
  for (const PulledFile& one : pulled) {
    Json file = file_json(one.file);
    file["how"] = blob_end_name(one.end);
    json["files"].push_back(std::move(file));
  }
  return print_json(json) ? kOk : kFailed;
}

int pull_repository(const PullFlags& flags) {
  catch_interrupts();
  const auto failed = [](const Error& error) {
    if (error.code != Code::cancelled) return report(error);
    print_error("interrupted; the same command goes on from here");
    return kInterrupted;
  };
  auto access = hub_access();
  if (!access) return report(access.error());
  if (flags.retries) access->retries = static_cast<int>(*flags.retries);
  const auto plan = plan_pull(*access, {.repository = repository_of(flags.repositories.front()),
                                        .revision = flags.revision,
                                        .choice = {flags.include, flags.exclude},
                                        .cache = hub_cache_folder(model_search())});
  if (!plan) return failed(plan.error());
  if (flags.dry_run) return show_plan(*plan, flags);
  print_error_text(cat(plan->request.repository, " at ", plan->commit.substr(0, 12), ": ", pull_summary(*plan), "\n"));
  const auto pulled = pull_with_progress(*access, *plan);
  return pulled ? show_pulled(*plan, *pulled, flags) : failed(pulled.error());
}

}  // namespace

int run_pull(const std::vector<std::string>& arguments) {
  PullFlags flags;
  CommandLine line("pull",
                   "Downloads a model from the Hugging Face hub into its cache, where all commands find it. What was "
                   "cut off goes on where it stopped; sizes and hashes are checked. Prints the folder.");
  line.positionals("repository", flags.repositories, "ORG/NAME, or an alias");
  line.text("--revision", flags.revision, "branch, tag or commit (default main)");
  line.texts("--include", flags.include, "only files that match, as '*Q4_K_M.gguf'; default: what Corbel runs");
  line.texts("--exclude", flags.exclude, "not these");
  line.integer("--retries", flags.retries, "tries after a failure without one more byte (default 5)");
  line.toggle("--dry-run", flags.dry_run, "show what would be downloaded");
  line.toggle("--json", flags.json, "for machines");
  line.example("corbel pull meta-llama/Llama-3.2-1B-Instruct");
  line.example("corbel pull bartowski/Llama-3.2-1B-Instruct-GGUF --include '*Q4_K_M.gguf'");
  if (const auto code = line.parse(arguments)) return *code;
  const auto usage = [](std::string_view message) {
    print_error(message);
    return kWrongUsage;
  };
  if (flags.repositories.size() != 1)
    return usage(cat("which repository? corbel pull ORG/NAME; found ", flags.repositories.size(), " names"));
  if (const std::int64_t retries = flags.retries.value_or(0); retries < 0 || retries > 1000)
    return usage(cat("--retries is ", retries, "; it must be 0 to 1000"));
  return pull_repository(flags);
}

}  // namespace corbel::app
