#pragma once
#include <memory>

#include "corbel/format/tensor_source.h"

namespace corbel {

/// A checkpoint that was saved without its head, as embedding models are, has tensors "embed_tokens.weight",
/// "layers.0....", "norm.weight" where one with its head has "model.embed_tokens.weight", ...: shown under the longer
/// names, which families know. Anything else comes back as it is.
std::shared_ptr<const TensorSource> with_full_names(std::shared_ptr<const TensorSource> tensors);

}  // namespace corbel
