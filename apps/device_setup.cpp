#include "apps/device_setup.h"

#include "apps/environment.h"
#include "apps/tuning_file.h"
#include "corbel/blocks/attention.h"

namespace corbel::app {
namespace {

constexpr Strategy kStrategies[] = {Strategy::balanced, Strategy::performance, Strategy::accuracy, Strategy::memory};

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  for (const DeviceEntry& entry : linked_devices()) names.push_back(entry.name);
  names.emplace_back("reference");
  return names;
}

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const Strategy strategy : kStrategies) names.emplace_back(strategy_name(strategy));
  return names;
}

std::vector<std::string> kv_cache_names() {
  std::vector<std::string> names = {"auto"};
  for (const CacheType& type : cache_types()) names.emplace_back(type.name);
  return names;
}

}  // namespace

void DeviceChoice::add_flags(CommandLine& line) {
  line.choice("--device", device, device_names(), "where to run; reference is slow and exact");
  line.integer("--threads", threads, "threads (default: every processor this process may use)");
  line.choice("--missing-ops", missing_ops, {"strict", "reference"},
              "what to do when the device lacks an op: refuse, or run its reference on the host");
  line.choice("--strategy", strategy, strategy_names(), "which of speed, accuracy and memory counts most");
  line.choice("--kv-cache", kv_cache, kv_cache_names(),
              "how keys and values are kept; auto: as compiled, else bf16 (f32, int8 by --strategy accuracy, memory)");
}

std::optional<DType> DeviceChoice::chosen_kv_cache() const {
  for (const CacheType& type : cache_types()) {
    if (type.name == kv_cache) return type.dtype;
  }
  return std::nullopt;
}

Strategy DeviceChoice::chosen_strategy() const {
  for (const Strategy known : kStrategies) {
    if (strategy_name(known) == strategy) return known;
  }
  return Strategy::balanced;
}

Result<void> DeviceChoice::validate() const {
  constexpr std::int64_t kMostThreads = 1024;
  if (!threads || (*threads >= 1 && *threads <= kMostThreads)) return {};
  return fail(Code::bad_request, cat("--threads is ", *threads, "; it must be 1 to ", kMostThreads));
}

Result<OpenDevice> open_device(const DeviceChoice& choice) {
  CORBEL_TRY(choice.validate());
  OpenDevice open;
  if (choice.device == "reference") {
    open.device = make_reference_device();
    return open;
  }
  const std::vector<DeviceEntry> linked = linked_devices();
  std::string known = "\"reference\"";
  for (const DeviceEntry& entry : linked) {
    known += cat(", \"", entry.name, '"');
    if (!choice.device.empty() && choice.device != entry.name) continue;
    const int threads = choice.threads ? static_cast<int>(*choice.threads) : usable_processors();
    CORBEL_ASSIGN(open.pool, ThreadPool::make(threads));
    DeviceSettings settings{
        .missing_ops = choice.missing_ops == "reference" ? MissingOps::reference : MissingOps::strict,
        .level = environment("CORBEL_CPU_ISA")};
    open.tuning = tuning_file(entry.name, settings.level, threads);
    settings.tuning = load_tuning(open.tuning);
    auto made = entry.make(settings, *open.pool);
    if (!made && !settings.tuning.empty()) {
      log(LogLevel::warning, cat("tuning is passed over: ", made.error().message, " (", open.tuning.string(), ")"));
      settings.tuning.clear();
      made = entry.make(settings, *open.pool);
    }
    CORBEL_ASSIGN(open.device, std::move(made));
    return open;
  }
  return fail(Code::bad_request, cat("--device is \"", choice.device, "\"; this build has ", known));
}

}  // namespace corbel::app
