#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "corbel/model/family.h"

namespace corbel {

/// What a checkpoint says about generating: generation_config.json, else config.json. Absent values stay empty.
struct GenerationDefaults {
  std::vector<std::int64_t> eos_ids;
  std::optional<std::int64_t> bos_id;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k, max_new_tokens;
  std::optional<bool> do_sample;
};

/// A model read from a folder.
struct LoadedModel {
  std::filesystem::path folder;
  std::unique_ptr<TextModel> model;
  GenerationDefaults defaults;
  double load_ms = 0.0;
};

/// Reads config.json, finds the family by "architectures", opens the weights (mapped, not read), makes the model on
/// `device`. Messages name file and field; an unknown architecture is answered with the known ones and how to add one.
Result<LoadedModel> load_text_model(const std::filesystem::path& folder, const Device& device,
                                    std::span<const ModelFamily> families, const ModelOptions& options = {});

/// The same for a config and tensors from elsewhere (dummy weights, tests). `source` names the config in messages.
Result<std::unique_ptr<TextModel>> make_text_model(const Json& config, const std::string& source,
                                                   std::shared_ptr<const TensorSource> tensors, const Device& device,
                                                   std::span<const ModelFamily> families,
                                                   const ModelOptions& options = {});

}  // namespace corbel
