#include "apps/tuning_file.h"

#include <sys/utsname.h>

#include <cctype>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "apps/environment.h"
#include "corbel/base/json.h"
#include "corbel/base/log.h"
#include "corbel/base/mapped_file.h"

namespace corbel::app {
namespace {

constexpr int kVersion = 1;

Result<Tuning> read_tuning_file(const std::filesystem::path& file) {
  CORBEL_ASSIGN(const Json json, read_json_file(file));
  if (!json.is_object() || json.value("version", Json()) != Json(kVersion) || !json.value("tuning", Json()).is_object())
    return fail(Code::bad_file, cat(file.string(), ": expected {\"version\": ", kVersion, ", \"tuning\": {...}}"));
  Tuning tuning;
  for (const auto& [name, value] : json["tuning"].items()) {
    if (!value.is_number_integer()) return fail(Code::bad_file, cat(file.string(), ": ", name, " is no whole number"));
    tuning[name] = value.get<std::int64_t>();
  }
  return tuning;
}

}  // namespace

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  utsname system{};
  return uname(&system) == 0 ? system.machine : "unknown";
}

std::filesystem::path tuning_file(const std::string& device, const std::string& level, int threads) {
  const std::filesystem::path cache = cache_folder();
  if (cache.empty()) return {};
  std::string name = cat(device, "-", level.empty() ? "best" : level, "-", threads, "-", processor_name());
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0 && letter != '-') letter = '_';
  }
  return cache / "tuning" / (name + ".json");
}

Tuning load_tuning(const std::filesystem::path& file) {
  std::error_code ignored;
  if (file.empty() || !std::filesystem::exists(file, ignored)) return {};
  Result<Tuning> tuning = read_tuning_file(file);
  if (tuning) return *std::move(tuning);
  log(LogLevel::warning, cat("tuning is passed over: ", tuning.error().message, ". `corbel tune` makes it again"));
  return {};
}

Result<void> make_tuning_folder(const std::filesystem::path& file) {
  if (file.empty())
    return fail(Code::bad_request, "there is no folder to keep the tuning in: set XDG_CACHE_HOME or HOME");
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) return fail(Code::bad_file, cat("cannot make ", file.parent_path().string(), ": ", error.message()));
  return {};
}

Result<void> save_tuning(const std::filesystem::path& file, const Tuning& tuning) {
  CORBEL_TRY(make_tuning_folder(file));
  const std::string text = Json{{"version", kVersion}, {"tuning", tuning}}.dump(2) + "\n";
  return write_file_atomically(file, std::as_bytes(std::span(text)));
}

}  // namespace corbel::app
