#pragma once
#include <array>
#include <memory>
#include <vector>

#include "corbel/blocks/embeddings.h"
#include "corbel/blocks/lm_head.h"
#include "corbel/patterns/decoder_layer.h"

namespace corbel {

/// Embedding, decoder layers, final norm, head. Layers may differ (windows, rotary scalings).
struct CausalLmSpec {
  TokenEmbeddingSpec embedding;
  std::vector<DecoderLayerSpec> layers;
  RmsNormSpec final_norm;
  LmHeadSpec head;
  Result<void> validate() const;
};

struct CausalLmImplConfig {
  DecoderLayerImplConfig layer;  // one for all layers
  LmHeadImplConfig head;
};

CausalLmImplConfig get_default_impl_config(const CausalLmSpec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);

/// A causal language model on one device: immutable after make; any number of steps may use it, one at a time per
/// context.
class CausalLm {
 public:
  /// Roles: embedding, final_norm, lm_head, and per layer those of DecoderLayerWeights. The store must outlive the
  /// model.
  static Result<CausalLm> make(CausalLmSpec spec, const CausalLmImplConfig& config, const WeightContext& context);

  const CausalLmSpec& spec() const { return spec_; }
  const CausalLmImplConfig& config() const { return config_; }
  std::int64_t embedding_bytes() const { return embedding_.table.bytes(); }
  /// What a layer's linear ops are, and the head's: for counting work.
  std::array<const Linear::Spec*, 4> linear_specs(int layer) const;
  const Linear::Spec& head_linear() const { return head_.linear.op.spec(); }
  KvPageSpec page(int layer) const { return cache_page(spec_.layers[layer].attention, config_.layer.attention); }

  /// hidden f32 [rows, hidden] of all rows of the step.
  void embed(const StepInputs& step, const TensorView& hidden, RunContext& context) const noexcept;
  /// Layers first .. first + count - 1, in place; step.keeps_wanted_rows is about the last one.
  void run_layers(int first, int count, const StepInputs& step, const TensorView& hidden, const CacheView& cache,
                  RunContext& context) const noexcept;
  /// The wanted rows of `hidden`, normalized: f32 [logit_rows, hidden], what logits are made of.
  void final_hidden(const StepInputs& step, const TensorView& hidden, const TensorView& rows,
                    RunContext& context) const noexcept;
  /// final_hidden(), then logits f32 [logit_rows, vocab].
  void head(const StepInputs& step, const TensorView& hidden, const TensorView& logits,
            RunContext& context) const noexcept;

 private:
  /// Layers that share a rotary spec share a table.
  struct RopeGroup {
    RotarySpec spec;
    Prepared<RopeTable> table;
  };
  CausalLmSpec spec_;
  CausalLmImplConfig config_;
  TokenEmbeddingWeights embedding_;
  std::vector<DecoderLayerWeights> layers_;
  std::vector<RopeGroup> ropes_;
  std::vector<int> rope_of_layer_;  // -1: does not rotate
  RmsNormWeights final_norm_;
  Prepared<GatherRows> gather_;
  LmHeadWeights head_;
};

}  // namespace corbel
