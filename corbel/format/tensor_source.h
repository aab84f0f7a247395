#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/format/weight_format.h"
#include "corbel/tensor/shape.h"

namespace corbel {

/// One tensor of a checkpoint. The bytes belong to the source and live as long as it does.
struct SourceTensor {
  std::string name;
  const WeightFormat* format = nullptr;
  Shape shape;  // as stored: a linear layer's weight is [out_features, in_features]
  std::span<const std::byte> bytes;
  std::string file;  // for messages: "model-00001-of-00002.safetensors"
};

/// Named tensors of a checkpoint, whatever file they come in. Finding a tensor does not read its bytes.
/// Safe to use from several threads.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual std::optional<SourceTensor> find(std::string_view name) const = 0;
  /// All names, sorted.
  virtual std::vector<std::string> names() const = 0;
  /// For messages: the folder's or file's path.
  virtual std::string description() const = 0;
};

}  // namespace corbel
