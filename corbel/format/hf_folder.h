#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "corbel/format/tensor_source.h"

namespace corbel {

/// The weights of a Hugging Face folder: model.safetensors, or the shards that model.safetensors.index.json names.
/// Refuses, naming file and field: no weights at all, a shard that is absent, a tensor that its shard does not hold, a
/// tensor in two shards, pickles (pytorch_model.bin: never executed), Git LFS pointers in place of data.
Result<std::unique_ptr<TensorSource>> open_hf_folder(const std::filesystem::path& folder);

}  // namespace corbel
