#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "corbel/format/model_package.h"
#include "corbel/format/model_path.h"

namespace corbel::app {

/// The value of an environment variable; empty when it is not set.
std::string environment(const char* name);

/// HF_HOME, else XDG_CACHE_HOME/huggingface; empty where neither is set.
std::string hf_home();

/// HF_HOME, HF_HUB_CACHE, HF_MODEL, LLAMA_DIR, HOME.
ModelSearch model_search();

/// The folder or file that `model` means ("FILE.corbel#PROFILE": a profile of an artifact), for "" and "pico" the
/// built-in model's: beside the installed command
/// (../share/corbel/pico), in the build tree's repository (../../share/pico), or where the command was built.
Result<std::filesystem::path> find_model(const std::string& model);

/// The same, opened: headers are read, no weights.
Result<std::shared_ptr<const ModelPackage>> find_package(const std::string& model);

/// Where models packed by --quant are kept: $XDG_CACHE_HOME/corbel, else ~/.cache/corbel; empty without a home.
std::filesystem::path cache_folder();

/// Where `corbel chat` keeps its history: $XDG_STATE_HOME/corbel, else ~/.local/state/corbel; empty without a home.
std::filesystem::path state_folder();

}  // namespace corbel::app
