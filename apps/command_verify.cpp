#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/device_setup.h"
#include "apps/environment.h"
#include "apps/terminal.h"
#include "corbel/model/model_list.h"
#include "corbel/verify/faults.h"
#include "corbel/verify/golden_report.h"

namespace corbel::app {

int run_verify(const std::vector<std::string>& arguments);

namespace {

namespace fs = std::filesystem;

struct VerifyFlags {
  std::vector<std::string> model;
  std::string reference, inject;
  bool list_faults = false;
  bool json = false;
  DeviceChoice device{.strategy = "accuracy"};
};

/// What is compared with what.
struct VerifySubject {
  fs::path folder;
  std::optional<Golden> golden;
};

Result<VerifySubject> open_subject(const VerifyFlags& flags) {
  VerifySubject subject;
  CORBEL_ASSIGN(subject.folder, find_model(flags.model.empty() ? "pico" : flags.model[0]));
  std::error_code ignored;
  const fs::path beside = fs::is_directory(subject.folder, ignored) ? subject.folder : subject.folder.parent_path();
  const fs::path reference = flags.reference.empty() ? beside / "golden.safetensors" : fs::path(flags.reference);
  if (flags.reference.empty() && !fs::exists(reference, ignored)) {
    return fail(Code::bad_file,
                cat(subject.folder.string(),
                    " has no golden.safetensors to compare with. Record one (Python with torch and transformers):\n"
                    "  python tools/golden/record.py --folder ",
                    subject.folder.string(), " --text \"a prompt\"\nor name one with --reference FILE"));
  }
  CORBEL_ASSIGN(subject.golden, Golden::open(reference));
  return subject;
}

std::string scientific(double value) {
  if (!std::isfinite(value)) return "inf";
  char text[32];
  std::snprintf(text, sizeof text, "%.2e", value);
  return text;
}

std::string row_text(const std::string& module, const std::array<std::string, 5>& cells, std::size_t width) {
  char text[160];
  std::snprintf(text, sizeof text, "  %9s  %9s  %12s  %-24s %s\n", cells[0].c_str(), cells[1].c_str(), cells[2].c_str(),
                cells[3].c_str(), cells[4].c_str());
  return module + std::string(width - module.size(), ' ') + text;
}

std::string table_text(const GoldenReport& report) {
  std::size_t width = std::string_view("module").size();
  for (const ModuleReport& module : report.modules) width = std::max(width, module.module.size());
  std::string text = row_text("module", {"worst row", "allowed", "PCC", "first bad element", ""}, width);
  for (const ModuleReport& module : report.modules) {
    char pcc[32];
    std::snprintf(pcc, sizeof pcc, "%.9f", module.comparison.pcc);
    const auto& bad = module.comparison.first_bad;
    text += row_text(module.module,
                     {scientific(module.comparison.worst_row_error), scientific(module.bound), pcc,
                      bad ? to_string(*bad) : "-", module.ok ? "ok" : "WRONG"},
                     width);
  }
  return text;
}

std::string greedy_text(const GoldenReport& report, const Golden& golden) {
  if (report.greedy.empty()) return "";
  return cat("greedy ids: ", report.greedy_equal, " of ", golden.greedy().size(), " agree",
             report.greedy_checked ? "" : " (not part of the verdict: this strategy rounds)", "\n");
}

std::string verdict_text(const GoldenReport& report, const Golden& golden, const VerifyFlags& flags,
                         const DeviceInfo& device) {
  const std::string how =
      cat(device.profile(), ", ", flags.device.strategy, flags.inject.empty() ? "" : ", with fault " + flags.inject);
  if (report.passed()) {
    return cat("ok: ", report.modules.size(), " modules agree with transformers ", golden.metadata("transformers"),
               ": worst row ", scientific(report.worst_error()), ", allowed ", scientific(report.bound), " (", how,
               ")\n");
  }
  if (report.first_wrong == "greedy" && report.greedy == golden.greedy()) {
    return cat("WRONG: the prefill and the greedy ids agree, the logits behind the last id do not (", how, ")\n");
  }
  if (report.first_wrong == "greedy") {
    return cat("WRONG: greedy ids differ from place ", report.greedy_equal, " on, though every module agrees (", how,
               ")\n");
  }
  const auto wrong = std::find_if(report.modules.begin(), report.modules.end(),
                                  [&](const ModuleReport& module) { return module.module == report.first_wrong; });
  return cat("WRONG: ", report.first_wrong, " is the first module that differs: worst row ",
             scientific(wrong->comparison.worst_row_error), ", allowed ", scientific(wrong->bound), " (", how, ")\n");
}

Json report_json(const GoldenReport& report, const Golden& golden, const VerifyFlags& flags, const DeviceInfo& device) {
  Json modules = Json::array();
  for (const ModuleReport& module : report.modules) {
    const auto& bad = module.comparison.first_bad;
    // An infinite error has no JSON number: null, with "finite" false.
    modules.push_back({{"module", module.module},
                       {"worst_row_error", module.comparison.worst_row_error},
                       {"worst_row", module.comparison.worst_row},
                       {"bound", module.bound},
                       {"pcc", module.comparison.pcc},
                       {"finite", module.comparison.finite},
                       {"first_bad", bad ? Json::array({bad->row, bad->column}) : Json()},
                       {"ok", module.ok}});
  }
  return Json{{"passed", report.passed()},
              {"first_wrong", report.passed() ? Json() : Json(report.first_wrong)},
              {"bound", report.bound},
              {"worst_row_error", report.worst_error()},
              {"profile", device.profile()},
              {"strategy", flags.device.strategy},
              {"fault", flags.inject.empty() ? Json() : Json(flags.inject)},
              {"reference", golden.description()},
              {"transformers", golden.metadata("transformers")},
              {"greedy", {{"ids", report.greedy}, {"equal", report.greedy_equal}, {"checked", report.greedy_checked}}},
              {"modules", modules}};
}

/// Every fault, and the module where this model and golden show it.
int list_faults(const VerifyFlags& flags) {
  const auto subject = open_subject(flags);
  if (!subject) return report(subject.error());
  const auto visible = visible_faults(subject->folder, *subject->golden);
  if (!visible) return report(visible.error());
  Json list = Json::array();
  std::string text;
  for (const Fault& fault : all_faults()) {
    const auto found = std::find_if(visible->begin(), visible->end(),
                                    [&](const VisibleFault& entry) { return entry.fault == &fault; });
    const std::string where = found == visible->end() ? std::string() : found->first_wrong;
    char line[512];
    std::snprintf(line, sizeof line, "%-26s %-42s %s\n", std::string(fault.name).c_str(),
                  where.empty() ? "(not visible with this model)" : where.c_str(), std::string(fault.what).c_str());
    text += line;
    list.push_back({{"name", fault.name}, {"what", fault.what}, {"first_wrong", where.empty() ? Json() : Json(where)}});
  }
  return print(flags.json ? list.dump(2) + "\n" : text) ? kOk : kFailed;
}

int verify(const VerifyFlags& flags, const Fault* fault) {
  const auto open = open_device(flags.device);
  if (!open) return report(open.error());
  const auto subject = open_subject(flags);
  if (!subject) return report(subject.error());
  const auto families = linked_model_families();
  const auto compared = verify_folder(
      {subject->folder, families, {flags.device.chosen_strategy(), flags.device.chosen_kv_cache()}, fault},
      *subject->golden, *open->device);
  if (!compared) {
    print_error(compared.error().message);
    return fault != nullptr && compared.error().code == Code::bad_request ? kWrongUsage : kFailed;
  }
  const DeviceInfo& device = open->device->info();
  const std::string text = flags.json ? report_json(*compared, *subject->golden, flags, device).dump(2) + "\n"
                                      : table_text(*compared) + greedy_text(*compared, *subject->golden) +
                                            verdict_text(*compared, *subject->golden, flags, device);
  return print(text) && compared->passed() ? kOk : kFailed;
}

}  // namespace

int run_verify(const std::vector<std::string>& arguments) {
  VerifyFlags flags;
  CommandLine line("verify",
                   "Compares a model, module by module, with what Hugging Face transformers answered (a golden). "
                   "Exit code 1 when a module is wrong: the first one is named.");
  line.positionals("model", flags.model, "as for run; without: the built-in model and its golden");
  line.text("--reference", flags.reference, "the golden (default: golden.safetensors in the model's folder)");
  line.text("--inject", flags.inject, "make this mistake on purpose, to see it found");
  line.toggle("--list-faults", flags.list_faults, "the mistakes that --inject knows, and where they show");
  line.toggle("--json", flags.json, "for machines");
  flags.device.add_flags(line);
  line.example("corbel verify");
  line.example("corbel verify --inject rope_base");
  line.example("corbel verify ~/models/Llama-3.2-1B-Instruct --reference golden.safetensors");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.model.size() > 1) {
    print_error(cat("verify takes one model, found ", flags.model.size(), ": \"", flags.model[0], "\", \"",
                    flags.model[1], "\", ..."));
    return kWrongUsage;
  }
  if (flags.list_faults) return list_faults(flags);
  if (flags.inject.empty()) return verify(flags, nullptr);
  const auto fault = find_fault(flags.inject);
  if (!fault) {
    print_error(fault.error().message);
    return kWrongUsage;
  }
  return verify(flags, *fault);
}

}  // namespace corbel::app
