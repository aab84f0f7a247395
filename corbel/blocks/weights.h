#pragma once
#include <array>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/device/run_context.h"
#include "corbel/format/tensor_source.h"
#include "corbel/ops/linear.h"

/// Transformer blocks: stateless functions over Spec (what the model is), ImplConfig (how we run it), Weights and a
/// cache.
namespace corbel {

/// Where a weight's bytes are now. Replaced between steps when a long-lived process moves weights into huge pages.
struct WeightBase {
  const std::byte* address = nullptr;
  std::int64_t bytes = 0;
};

/// A weight: base + offset. Copies are cheap; the WeightStore that made it must outlive it.
struct WeightRef {
  const WeightBase* base = nullptr;
  std::int64_t offset_bytes = 0;
  const WeightFormat* format = nullptr;
  Shape shape;

  const std::byte* data() const noexcept { return base->address + offset_bytes; }
  std::int64_t bytes() const noexcept { return format->matrix_bytes(shape[0], shape[1]); }  // of a matrix
};

/// Which tensor of a checkpoint plays which role: "attention.q" -> "model.layers.{layer}.self_attn.q_proj". One table
/// per model family serves the loader and the compiler. Names are modules: ".weight" and ".bias" are added by who asks;
/// the same names are what taps report.
struct WeightRole {
  std::string_view role;
  std::string_view module;  // "{layer}" stands for the layer's index
};

/// How a model uses one tensor of its checkpoint: what the compiler plans by.
struct WeightUse {
  std::string name;
  Shape shape;            // as the model expects it; rank 1: a vector
  bool gathered = false;  // rows are looked up (embeddings)
  /// Of a linear layer's matrix: the module under whose name and ".input" taps show what it is multiplied with.
  /// Matrices that share an input share it. Empty: multiplied with nothing.
  std::string input;
};

/// Hands out a checkpoint's tensors by name, checks their shapes, and remembers which were asked for.
/// Matrices stay where the source has them (mapped); vectors (norms, biases) become owned f32 copies, counted.
class WeightStore {
 public:
  explicit WeightStore(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}
  WeightStore(const WeightStore&) = delete;
  WeightStore& operator=(const WeightStore&) = delete;

  bool has(std::string_view name) const { return source_->has(name); }
  /// [rows, columns] in the checkpoint's own format. `input` as in WeightUse; empty: its rows are looked up.
  Result<WeightRef> matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                           const std::string& input = {});
  /// f32 [size], an owned copy.
  Result<TensorView> vector(const std::string& name, std::int64_t size);
  /// Refuses a checkpoint with tensors that nobody asked for. `ignored` are name endings that may stay unread.
  Result<void> check_all_used(const std::vector<std::string_view>& ignored) const;

  /// Everything that was asked for, in the order in which it was asked for first.
  const std::vector<WeightUse>& uses() const { return uses_; }
  /// Of all matrices, for who moves them between steps.
  std::deque<WeightBase>& bases() { return bases_; }
  std::int64_t mapped_bytes() const { return mapped_bytes_; }
  std::int64_t owned_bytes() const { return owned_bytes_; }
  const TensorSource& source() const { return *source_; }

 private:
  Result<SourceTensor> find(const std::string& name, const Shape& shape);
  std::shared_ptr<const TensorSource> source_;
  std::deque<WeightBase> bases_;
  std::deque<std::vector<float>> vectors_;
  std::set<std::string, std::less<>> used_;
  std::vector<WeightUse> uses_;
  std::int64_t mapped_bytes_ = 0;
  std::int64_t owned_bytes_ = 0;
};

/// One layer's view of a role table.
class RoleNames {
 public:
  RoleNames(std::vector<WeightRole> roles, int layer = -1) : roles_(std::move(roles)), layer_(layer) {}
  RoleNames at_layer(int layer) const { return {roles_, layer}; }
  /// The module that plays the role; empty when the table has no such role.
  std::string module(std::string_view role) const;

 private:
  std::vector<WeightRole> roles_;
  int layer_;
};

/// How a block's weights are found and made ready; passed to every make_*_weights.
struct WeightContext {
  WeightStore& store;
  const RoleNames& names;
  const Device& device;
};

/// A linear op with its weights.
struct LinearLayer {
  std::array<WeightRef, Linear::kMaxWeights> weights;
  std::array<TensorView, Linear::kMaxWeights> biases;
  Prepared<Linear> op;
  std::string input;  // WeightUse::input of its weights

  /// out[i] = x . weights[i]^T + bias, and what the spec says follows.
  void run(const TensorView& x, std::initializer_list<TensorView> out, RunContext& context) const noexcept;
};

struct LinearPart {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  std::int64_t out_features = 0;
  bool needs_bias = false;  // refused without one; a bias that is there is used in any case
};

struct LinearPlan {
  std::int64_t in_features = 0;
  std::vector<LinearPart> parts;  // one to four
  bool bf16_products = true;      // moves bits: bf16 weights use Arithmetic::bf16; packed ones int8; all others f32
  Activation activation = Activation::none;
  bool gated = false;
};

/// Loads ".weight" (and ".bias" where the checkpoint has one) of every part and readies the op.
Result<LinearLayer> make_linear(const LinearPlan& plan, const WeightContext& context);

}  // namespace corbel
