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

/// One tensor of a checkpoint. The bytes belong to the source and live as long as it does. They may lie at any address:
/// old files align nothing and mapped weights are not copied, so whoever reads them loads unaligned.
struct SourceTensor {
  std::string name;
  const WeightFormat* format = nullptr;
  Shape shape;  // as stored: a linear layer's weight is [out_features, in_features]
  std::span<const std::byte> bytes;
  std::string file;      // for messages: "model-00001-of-00002.safetensors"
  bool is_copy = false;  // the bytes are private memory of the source, not a mapped file
};

/// Named tensors of a checkpoint, whatever file they come in. Finding a tensor does not read its bytes.
/// Safe to use from several threads.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Nothing when there is no such tensor, or when its type is no weight format (integers, say): describe() tells
  /// which.
  virtual std::optional<SourceTensor> find(std::string_view name) const = 0;
  /// The same for a caller that knows the shape it wants; sources that make tensors up (seeded weights) go by it.
  virtual std::optional<SourceTensor> find_shaped(std::string_view name, const Shape& wanted) const;
  /// Whether find would find it.
  virtual bool has(std::string_view name) const;
  /// For messages, of any name: "bf16 [512, 256] in model.safetensors", "I64 [1], which is no weight format", "absent".
  virtual std::string describe(std::string_view name) const;
  /// All names, sorted, also of those that find() does not give.
  virtual std::vector<std::string> names() const = 0;
  /// For messages: the folder's or file's path.
  virtual std::string description() const = 0;
};

}  // namespace corbel
