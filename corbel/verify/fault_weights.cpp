#include "corbel/verify/fault_weights.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "corbel/tensor/dtype.h"

namespace corbel::broken {
namespace {

using Bytes = std::vector<std::byte>;

/// Writes one number over element `at` of a plain format; others are left as they are.
void put(const SourceTensor& tensor, Bytes& bytes, std::int64_t at, float value) {
  if (tensor.format == &f32_format()) std::memcpy(bytes.data() + at * 4, &value, 4);
  if (tensor.format == &bf16_format()) {
    const auto stored = to_bfloat16(value);
    std::memcpy(bytes.data() + at * 2, &stored, 2);
  }
  if (tensor.format == &f16_format()) {
    const auto stored = to_float16(value);
    std::memcpy(bytes.data() + at * 2, &stored, 2);
  }
}

Bytes copy_of(const SourceTensor& tensor) { return {tensor.bytes.begin(), tensor.bytes.end()}; }

/// Two tensors' names exchanged wherever they stand in a longer name.
class Swapped : public AlteredSource {
 public:
  Swapped(Weights base, std::string first, std::string second)
      : AlteredSource(std::move(base)), first_(std::move(first)), second_(std::move(second)) {}

 protected:
  std::string rename(std::string_view name) const override {
    std::string renamed(name);
    if (const auto at = name.find(first_); at != std::string_view::npos) {
      renamed.replace(at, first_.size(), second_);
    } else if (const auto there = name.find(second_); there != std::string_view::npos) {
      renamed.replace(there, second_.size(), first_);
    }
    return renamed;
  }

 private:
  std::string first_, second_;
};

/// Tensors whose names end so, with other bytes.
class Edited : public AlteredSource {
 public:
  using Edit = void (*)(const SourceTensor& tensor, Bytes& bytes);
  Edited(Weights base, std::string_view ending, Edit edit)
      : AlteredSource(std::move(base)), ending_(ending), edit_(edit) {}

 protected:
  std::optional<Bytes> alter(const SourceTensor& tensor, int) const override {
    if (!tensor.name.ends_with(ending_)) return std::nullopt;
    Bytes bytes = copy_of(tensor);
    edit_(tensor, bytes);
    return bytes;
  }

 private:
  std::string_view ending_;
  Edit edit_;
};

/// The matrix of the head, whether stored for itself or the embedding's, which is then loaded a second time.
class ShiftedHead : public AlteredSource {
 public:
  using AlteredSource::AlteredSource;

 protected:
  std::optional<Bytes> alter(const SourceTensor& tensor, int asked) const override {
    const bool is_head = tensor.name == "lm_head.weight" || (tensor.name == "model.embed_tokens.weight" && asked == 2);
    if (!is_head) return std::nullopt;
    Bytes bytes = copy_of(tensor);
    std::rotate(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size()) / tensor.shape[0],
                bytes.end());
    return bytes;
  }
};

void transpose(const SourceTensor& tensor, Bytes& bytes) {
  const std::int64_t rows = tensor.shape[0];
  const std::int64_t columns = tensor.shape[1];
  const auto size = static_cast<std::int64_t>(bytes.size()) / (rows * columns);
  for (std::int64_t i = 0; i < rows * columns; ++i)
    std::memcpy(bytes.data() + i * size, tensor.bytes.data() + (i % rows * columns + i / rows) * size,
                static_cast<std::size_t>(size));
}

/// Far larger than its neighbours, so that the error is no rounding.
void one_element(const SourceTensor& tensor, Bytes& bytes) {
  put(tensor, bytes, tensor.shape.elements() / 2 + tensor.shape[1] / 2, 1.0F);
}

void one_nan(const SourceTensor& tensor, Bytes& bytes) {
  put(tensor, bytes, tensor.shape.elements() / 2, std::numeric_limits<float>::quiet_NaN());
}

void all_ones(const SourceTensor& tensor, Bytes& bytes) {
  for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) put(tensor, bytes, i, 1.0F);
}

void all_zeros(const SourceTensor&, Bytes& bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{0}); }

}  // namespace

Weights gate_up_swapped(Weights tensors) {
  return std::make_shared<Swapped>(std::move(tensors), ".gate_proj.", ".up_proj.");
}
Weights layers_swapped(Weights tensors) {
  return std::make_shared<Swapped>(std::move(tensors), "model.layers.0.", "model.layers.1.");
}
Weights projection_transposed(Weights tensors) {
  return std::make_shared<Edited>(std::move(tensors), "layers.0.self_attn.q_proj.weight", transpose);
}
Weights one_element_wrong(Weights tensors) {
  return std::make_shared<Edited>(std::move(tensors), "layers.0.mlp.down_proj.weight", one_element);
}
Weights value_is_nan(Weights tensors) {
  return std::make_shared<Edited>(std::move(tensors), "layers.0.mlp.up_proj.weight", one_nan);
}
Weights final_norm_ignored(Weights tensors) {
  return std::make_shared<Edited>(std::move(tensors), "model.norm.weight", all_ones);
}
Weights bias_dropped(Weights tensors) {
  return std::make_shared<Edited>(std::move(tensors), "layers.0.self_attn.q_proj.bias", all_zeros);
}
Weights head_rows_shifted(Weights tensors) { return std::make_shared<ShiftedHead>(std::move(tensors)); }

}  // namespace corbel::broken
