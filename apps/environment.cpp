#include "apps/environment.h"

#include <cstdlib>

#include "corbel/base/disk_names.h"

namespace corbel::app {
namespace {

namespace fs = std::filesystem;

Result<fs::path> built_in_model() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path places[] = {folder / "../share/corbel/pico", folder / "../../share/pico",
                             fs::path(CORBEL_SOURCE_DIR) / "share/pico"};
  std::string list;
  for (const fs::path& place : places) {
    if (fs::exists(place / "config.json", error)) return place.lexically_normal();
    list += cat(list.empty() ? "" : ", ", place.lexically_normal().string());
  }
  return fail(Code::bad_file, cat("the built-in model is not there; looked in ", list,
                                  ". Name another one with --model, or reinstall"));
}

}  // namespace

Result<std::shared_ptr<const ModelPackage>> find_package(const std::string& model) {
  CORBEL_ASSIGN(const fs::path path, find_model(model));
  return open_model_package(path);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string hf_home() {
  if (std::string home = environment("HF_HOME"); !home.empty()) return home;
  const std::string cache = environment("XDG_CACHE_HOME");
  return cache.empty() ? cache : cache + "/huggingface";
}

ModelSearch model_search() {
  return {.hf_hub_cache = environment("HF_HUB_CACHE"),
          .hf_home = hf_home(),
          .hf_model = environment("HF_MODEL"),
          .model_folder = environment(std::string(disk_names::kModelFolderVariable).c_str()),
          .home = environment("HOME")};
}

Result<fs::path> find_model(const std::string& model) {
  std::error_code error;
  const auto [name, profile] = split_profile(model);
  if (name == "pico" && !fs::exists(name, error)) return built_in_model();
  CORBEL_ASSIGN(fs::path path, resolve_model_path(name.string(), model_search()));
  if (path.empty()) return built_in_model();
  if (!profile.empty()) path += cat("#", profile);
  return path;
}

fs::path state_folder() {
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty()) return fs::path(state) / "corbel";
  if (const std::string home = environment("HOME"); !home.empty()) return fs::path(home) / ".local/state/corbel";
  return {};
}

fs::path cache_folder() {
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) return fs::path(cache) / "corbel";
  if (const std::string home = environment("HOME"); !home.empty()) return fs::path(home) / ".cache/corbel";
  return {};
}

}  // namespace corbel::app
