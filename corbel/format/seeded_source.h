#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "corbel/base/memory_block.h"
#include "corbel/format/tensor_source.h"
#include "corbel/tensor/dtype.h"

namespace corbel {

/// Formats in which a SeededSource gives tensors of rank two; null: the source's dtype. A packed matrix repeats one
/// strip of 16 seeded rows: it costs no time, and kernels cannot tell.
struct SeededFormats {
  const WeightFormat* matrices = nullptr;
  const WeightFormat* tables = nullptr;  // token embeddings and heads
};

/// A checkpoint that does not exist: tensors are made from a seed and their names when first asked for, in the shape
/// asked for (corbel/format/seeded_weights.h says which values). For benchmarks with dummy weights and for goldens of
/// real shapes.
class SeededSource final : public TensorSource {
 public:
  /// Which optional tensors the checkpoint "has": endings of names. Matrices and norms are always there; biases and an
  /// untied head ("lm_head.weight") only when named here.
  SeededSource(std::uint64_t seed, DType dtype, std::vector<std::string> optional_endings, SeededFormats formats = {});

  std::optional<SourceTensor> find(std::string_view name) const override;
  std::optional<SourceTensor> find_shaped(std::string_view name, const Shape& wanted) const override;
  bool has(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::string description() const override;

 private:
  struct Made {
    const WeightFormat* format;
    Shape shape;
    MemoryBlock memory;
  };
  SourceTensor view(const std::string& name, const Made& made) const;
  const WeightFormat& format_of(std::string_view name, const Shape& shape) const;
  std::uint64_t seed_;
  DType dtype_;
  std::vector<std::string> optional_endings_;
  SeededFormats formats_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Made, std::less<>> made_;
};

}  // namespace corbel
