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

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

ModelSearch model_search() {
  return {.hf_hub_cache = environment("HF_HUB_CACHE"),
          .hf_home = environment("HF_HOME"),
          .hf_model = environment("HF_MODEL"),
          .model_folder = environment(std::string(disk_names::kModelFolderVariable).c_str()),
          .home = environment("HOME")};
}

Result<fs::path> find_model(const std::string& model) {
  std::error_code error;
  if (model == "pico" && !fs::exists(model, error)) return built_in_model();
  CORBEL_ASSIGN(fs::path path, resolve_model_path(model, model_search()));
  if (path.empty()) return built_in_model();
  return path;
}

fs::path state_folder() {
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty()) return fs::path(state) / "corbel";
  if (const std::string home = environment("HOME"); !home.empty()) return fs::path(home) / ".local/state/corbel";
  return {};
}

}  // namespace corbel::app
