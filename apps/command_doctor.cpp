#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/device_setup.h"
#include "apps/environment.h"
#include "apps/terminal.h"
#include "apps/tuning_file.h"
#include "corbel/base/json.h"
#include "corbel/device/conformance.h"
#include "corbel/device/limits.h"
#include "corbel/engine/memory_plan.h"

namespace corbel::app {

int run_doctor(const std::vector<std::string>& arguments);

namespace {

/// One line of the examination. `ok` decides the exit code; notes never do.
struct Finding {
  std::string what;
  std::string found;
  bool ok = true;
};

std::string one_decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

Finding examine_memory() {
  const AvailableMemory memory = available_memory();
  if (memory.bytes() < 0) return {"memory", "the kernel does not say (/proc/meminfo)", false};
  std::string text = cat(bytes_text(memory.bytes()), " available");
  if (memory.group_limit_bytes >= 0) text += cat(", control group limit ", bytes_text(memory.group_limit_bytes));
  return {"memory", text};
}

Finding examine_huge_pages() {
  std::ifstream setting("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(setting, line);
  const bool off = line.empty() || line.find("[never]") != std::string::npos;
  return {"2 MB pages",
          off ? "off: reading weights is a few percent slower (/sys/kernel/mm/transparent_hugepage/enabled)" : line};
}

Finding examine_built_in_model() {
  const auto folder = find_model("");
  if (!folder) return {"built-in model", folder.error().message, false};
  return {"built-in model", folder->string()};
}

/// The short form of the conformance test on every level that the machine has.
std::vector<Finding> examine_devices() {
  std::vector<Finding> findings;
  for (const DeviceEntry& entry : linked_devices()) {
    for (const std::string& level : entry.levels()) {
      const std::string what = cat("ops on ", entry.name, level.empty() ? "" : "/", level);
      auto pool = ThreadPool::make(usable_processors());
      if (!pool) return {{what, pool.error().message, false}};
      auto device = entry.make({.missing_ops = MissingOps::reference, .level = level}, **pool);
      if (!device) {
        findings.push_back({what, device.error().message, false});
        continue;
      }
      std::string first_wrong;
      Device* const devices[] = {device->get()};
      const ConformanceSummary summary =
          run_conformance(devices, {.scale = CaseScale::quick, .report = [&](const ConformanceRow& row) {
                                      if (!row.ok && first_wrong.empty()) first_wrong = to_string(row);
                                    }});
      std::string text = cat(summary.cases, " cases equal the references bit for bit");
      if (summary.failed > 0)
        text = cat(summary.failed, " of ", summary.cases, " cases are wrong; first: ", first_wrong);
      if (summary.by_reference > 0) text += cat("; ", summary.by_reference, " run on the reference");
      findings.push_back({what, text, summary.failed == 0});
    }
  }
  return findings;
}

Finding examine_speed(const DeviceChoice& choice) {
  const auto open = open_device(choice);
  if (!open) return {"speed", open.error().message, false};
  const auto limits = open->device->measure_limits({});
  if (!limits) return {"speed", limits.error().message, false};
  return {"speed",
          cat(one_decimal(limits->read_bytes_per_s / 1e9), " GB/s read, bf16 ",
              one_decimal(limits->bf16_ops_per_s / 1e9), " GFLOPS, f32 ", one_decimal(limits->f32_ops_per_s / 1e9),
              " GFLOPS, ", limits->threads, " thread(s), ", open->device->info().profile())};
}

}  // namespace

int run_doctor(const std::vector<std::string>& arguments) {
  DeviceChoice choice;
  bool json = false;
  CommandLine line("doctor", "examine this machine: instruction sets, memory, speed, and every op on every level");
  line.toggle("json", json, "for machines");
  choice.add_flags(line);
  if (const auto code = line.parse(arguments)) return *code;

  std::vector<Finding> findings = {{"processor", cat(processor_name(), ", ", usable_processors(), " usable")},
                                   examine_memory(),
                                   examine_huge_pages(),
                                   examine_built_in_model()};
  const auto show = [&](const Finding& finding) {
    char padded[64];
    std::snprintf(padded, sizeof padded, "%-4s %-22s ", finding.ok ? "ok" : "BAD", finding.what.c_str());
    if (!json) print(cat(padded, finding.found, "\n"));
  };
  for (const Finding& finding : findings) show(finding);
  findings.push_back(examine_speed(choice));
  show(findings.back());
  for (Finding& finding : examine_devices()) {
    show(finding);
    findings.push_back(std::move(finding));
  }

  bool healthy = true;
  Json list = Json::array();
  for (const Finding& finding : findings) {
    healthy = healthy && finding.ok;
    list.push_back({{"what", finding.what}, {"found", finding.found}, {"ok", finding.ok}});
  }
  if (json)
    print(Json{{"healthy", healthy}, {"findings", list}}.dump(2) + "\n");
  else
    print(healthy ? "all is well\n" : "something is wrong: see the lines marked BAD\n");
  return healthy ? kOk : kFailed;
}

}  // namespace corbel::app
