#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "corbel/base/gguf_header.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

/// A file of a GGUF model: its bytes and what its header says.
struct GgufPart {
  std::span<const std::byte> bytes;
  GgufHeader header;
  std::string file_name;  // for messages
};

/// The heads whose rows must be put in order again.
struct GgufHeads {
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
};

/// The tensors of a GGUF model under Hugging Face's names. Immutable but for the copies, which are made once.
class GgufTensors final : public TensorSource {
 public:
  /// Checks every tensor of every part: type, whole blocks, place in the file, name. `owner` keeps the parts' bytes.
  static Result<std::shared_ptr<GgufTensors>> make(const std::vector<const GgufPart*>& parts, std::string description,
                                                   std::shared_ptr<const void> owner);

  /// Rows of queries and keys are to be reordered: rows 2 i and 2 i + 1 of a head are rows i and head_dim / 2 + i of a
  /// Hugging Face checkpoint. Refused when a tensor has other than heads * head_dim rows. Call before the first find().
  Result<void> separate_pairs(const GgufHeads& heads);

  /// Takes a tensor out under its name in the file, as f32: what belongs to the config. Nothing when it is not there.
  Result<std::vector<float>> take_vector(std::string_view gguf_name);

  std::int64_t owned_bytes() const;

  /// What find() would say, without a copy; all empty where there is no such tensor.
  struct Stored {
    const WeightFormat* format = nullptr;
    Shape shape;
    std::int64_t bytes = 0;
  };
  Stored stored(std::string_view name) const;

  std::optional<SourceTensor> find(std::string_view name) const override;
  bool has(std::string_view name) const override { return entries_.contains(name); }
  std::string describe(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::string description() const override { return description_; }

 private:
  struct Entry {
    SourceTensor tensor;
    std::int64_t pair_heads = 0;  // > 0: rows are reordered, so many heads
    mutable std::vector<std::byte> copy;
  };
  Result<void> check_overlap() const;
  Result<void> add(const GgufPart& part, const GgufTensor& tensor);
  /// The bytes of all tensors whose name in a layer begins with `module`.
  Result<std::int64_t> reorder(std::string_view module, std::int64_t heads, std::int64_t head_dim);

  std::shared_ptr<const void> owner_;
  std::string description_;
  std::map<std::string, Entry, std::less<>> entries_;
  mutable std::mutex copying_;
  mutable std::int64_t owned_bytes_ = 0;
};

/// "model.layers.3.self_attn.q_proj.weight" for "blk.3.attn_q.weight"; a name without a counterpart comes back as it
/// is.
std::string hf_tensor_name(std::string_view gguf_name);

/// Rows of one tensor in the order of a Hugging Face checkpoint: row 2 i + half of a head goes to row
/// half * head_dim / 2 + i. rows = heads * head_dim.
void separate_pairs(std::span<const std::byte> from, std::int64_t heads, std::int64_t head_dim, std::byte* to) noexcept;

}  // namespace corbel
