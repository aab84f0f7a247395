#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/model/text_model.h"
#include "corbel/patterns/causal_lm.h"

namespace corbel {

/// How a model is to be run; the same for every family.
struct ModelOptions {
  Strategy strategy = Strategy::balanced;
  std::optional<DType> kv_cache =
      std::nullopt;  // moves bits; empty: what the artifact was compiled for, else by the strategy
};

/// What a family gets to make a model of.
struct ModelSource {
  const JsonFields& config;  // config.json
  std::string architecture;  // the entry of "architectures" that chose the family
  std::shared_ptr<const TensorSource> tensors;
  ModelOptions options;
};

/// A folder of models/: which config.json "architectures" it reads, and how. Found by the folder's existence.
struct ModelFamily {
  std::string_view name;  // the folder
  std::vector<std::string_view> architectures;
  Result<std::unique_ptr<TextModel>> (*make)(const ModelSource& source, const Device& device) = nullptr;
};

/// What a family of plain causal language models says about a checkpoint: the rest is done by make_causal_lm_model.
struct CausalLmDescription {
  CausalLmSpec spec;
  std::vector<WeightRole> roles;
  std::vector<std::string_view> ignored;  // endings of tensor names that may stay unread
  std::int64_t max_positions = 0;
};

/// Loads the weights by their roles, refuses tensors nobody asked for, readies every op, and declares the caches.
Result<std::unique_ptr<TextModel>> make_causal_lm_model(CausalLmDescription description, std::string_view family,
                                                        const ModelSource& source, const Device& device);

}  // namespace corbel
