#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "corbel/base/memory_block.h"
#include "corbel/format/gguf_random.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

/// Another source with its matrices in a packed format, by the format's plain encoder, or of random bits where it has
/// none: packed models without a compiler.
class PackedSource final : public TensorSource {
 public:
  PackedSource(std::shared_ptr<const TensorSource> source, const WeightFormat& format)
      : source_(std::move(source)), format_(&format) {}

  std::optional<SourceTensor> find(std::string_view name) const override {
    auto tensor = source_->find(name);
    if (!tensor || tensor->shape.rank() != 2) return tensor;
    const std::lock_guard lock(mutex_);
    MemoryBlock& bytes = packed_[std::string(name)];
    const std::int64_t rows = tensor->shape[0];
    const std::int64_t columns = tensor->shape[1];
    if (bytes.bytes() == 0) {
      std::vector<float> values(static_cast<std::size_t>(rows * columns));
      tensor->format->decode(tensor->bytes.data(), rows * columns, values.data());
      bytes = *allocate_host_memory(static_cast<std::size_t>(format_->matrix_bytes(rows, columns)));
      if (format_->can_encode())
        format_->encode_matrix(values.data(), rows, columns, bytes.data());
      else
        fill_random_strips(*format_, rows, columns, 0.5F, packed_.size(), bytes.data());
    }
    tensor->format = format_;
    tensor->bytes = {bytes.data(), bytes.bytes()};
    return tensor;
  }
  std::vector<std::string> names() const override { return source_->names(); }
  std::string description() const override { return source_->description(); }

 private:
  std::shared_ptr<const TensorSource> source_;
  const WeightFormat* format_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, MemoryBlock> packed_;
};

}  // namespace corbel
