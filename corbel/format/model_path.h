#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "corbel/base/result.h"

namespace corbel {

/// Where models may lie, from the environment; the application reads the variables. Empty means not set.
struct ModelSearch {
  std::string hf_hub_cache;  // HF_HUB_CACHE, else hf_home/hub, else home/.cache/huggingface/hub
  std::string hf_home;       // HF_HOME
  std::string hf_model;      // HF_MODEL: the model when none is given; spelled as `model` may be
  std::string model_folder;  // disk_names::kModelFolderVariable: a folder, the model when neither is given
  std::string home;          // HOME
};

/// Finds the folder or file that `model` means. In this order:
///   1. an existing path ("~/" is the home folder)
///   2. ORG/NAME, or the repository of an alias ("llama-3.2-1b"; case does not matter), in the Hugging Face cache:
///      models--ORG--NAME/snapshots/HASH, HASH from refs/main, or the newest snapshot where there are no refs
///   3. HOME/models/ORG/NAME, HOME/models/NAME, and for an alias HOME/models/ALIAS
/// An empty `model` means hf_model or model_folder, and without both an empty path: the built-in model.
/// Refused: what is found nowhere (the message lists the places), names that lead out of a folder, an incomplete
/// download, hf_model and model_folder both set. Reads the file system only; never the network.
Result<std::filesystem::path> resolve_model_path(const std::string& model, const ModelSearch& search);

/// The Hugging Face cache's folder, empty when nothing tells where it is.
std::filesystem::path hub_cache_folder(const ModelSearch& search);
/// "models--ORG--NAME": a repository's folder in that cache.
std::string hub_folder_name(std::string_view repository);
/// The repository that an alias means; anything else as it is.
std::string repository_of(std::string_view model);

/// True when `text` has the form ORG/NAME that a hub accepts; says nothing about whether it exists.
bool looks_like_repository(std::string_view text);

}  // namespace corbel
