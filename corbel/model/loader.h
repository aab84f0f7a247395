#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "corbel/format/model_package.h"
#include "corbel/model/family.h"

namespace corbel {

/// What a checkpoint says about generating: generation_config.json, else config.json. Absent values stay empty.
struct GenerationDefaults {
  std::vector<std::int64_t> eos_ids;
  std::optional<std::int64_t> bos_id;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k, max_new_tokens;
  std::optional<bool> do_sample;
  std::int64_t input_tokens = 0;  // most tokens of a prompt, by the artifact's static profile; 0: no limit of its own
};

/// A model and what it was read from.
struct LoadedModel {
  std::shared_ptr<const ModelPackage> package;
  std::unique_ptr<TextModel> model;
  GenerationDefaults defaults;
  double load_ms = 0.0;

  /// Most tokens of a sequence: what the model was made for, or fewer where the artifact has a static profile; 0 where
  /// nothing says.
  std::int64_t longest_context() const;
  /// Why it is no more: "the model was made for" or "model.corbel was compiled for at most", for messages.
  std::string context_reason() const;
};

/// `options` with what the artifact's profile was compiled for where they leave it open. Refused: a cache type that
/// this build does not know.
Result<ModelOptions> with_profile(const ModelPackage& package, const ModelOptions& options);

/// Reads config.json, finds the family by "architectures", opens the weights (mapped, not read), makes the model on
/// `device`. Messages name file and field; an unknown architecture is answered with the known ones and how to add one.
Result<LoadedModel> load_text_model(std::shared_ptr<const ModelPackage> package, const Device& device,
                                    std::span<const ModelFamily> families, const ModelOptions& options = {});
/// The same for a path: a Hugging Face folder, a GGUF file, an artifact (open_model_package).
Result<LoadedModel> load_text_model(const std::filesystem::path& path, const Device& device,
                                    std::span<const ModelFamily> families, const ModelOptions& options = {});

/// The same for a config and tensors from elsewhere (dummy weights, tests). `source` names the config in messages.
Result<std::unique_ptr<TextModel>> make_text_model(const Json& config, const std::string& source,
                                                   std::shared_ptr<const TensorSource> tensors, const Device& device,
                                                   std::span<const ModelFamily> families,
                                                   const ModelOptions& options = {});

}  // namespace corbel
