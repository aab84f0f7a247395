#pragma once
#include <span>
#include <vector>

#include "corbel/model/text_model.h"

namespace corbel {

/// A model whose logits are a hash of the tokens that its cache holds: it keeps token t of a sequence in slot t of its
/// pages, in two cache groups in turn, and reads all of them back for every row. A page too many, too few or in the
/// wrong place is another answer, and what the right one is anyone can tell from the tokens.
class EchoModel : public TextModel {
 public:
  static constexpr std::int64_t kVocab = 129;

  EchoModel() {
    info_.vocab = kVocab;
    info_.hidden = 1;
    info_.layers = 2;
    info_.max_positions = 1 << 20;
    const KvPageSpec page{.kv_heads = 1, .head_dim = 1, .dtype = DType::f32};
    info_.cache.groups = {{.page = page, .layers = {0}}, {.page = page, .layers = {1}}};
  }
  const TextModelInfo& info() const override { return info_; }

  /// The logits behind `tokens`. Often the next of a few tokens in a circle, so that texts repeat themselves.
  static void logits_behind(std::span<const std::int32_t> tokens, std::span<float> logits) {
    std::uint64_t hash = 1469598103934665603U;
    for (const std::int32_t token : tokens) hash = (hash ^ static_cast<std::uint32_t>(token)) * 1099511628211U;
    hash ^= hash >> 29;
    const std::uint64_t likely = hash % 3 == 0 ? hash / 3 % kVocab : static_cast<std::uint64_t>(tokens.back() % 7 + 1);
    for (std::size_t id = 0; id < logits.size(); ++id)
      logits[id] = static_cast<float>((hash >> (id % 48)) & 7) * 0.25F + (id == likely ? 4.0F : 0.0F);
  }

  void embed(const StepInputs&, const TensorView&, RunContext&) const noexcept override {}
  void final_hidden(const StepInputs&, const TensorView&, const TensorView&, RunContext&) const noexcept override {}

  void run_layers(int, int, const StepInputs& step, const TensorView&, const CacheView& cache,
                  RunContext& context) const noexcept override {
    if (context.scratch->measuring()) return;
    for (std::int64_t row = 0; row < step.rows; ++row) {
      const std::int32_t slot = number(step.slots, row);
      for (int layer = 0; layer < 2; ++layer) *place(cache.layers[layer], step, row, slot) = number(step.ids, row);
    }
    cache_ = cache;
  }
  void head(const StepInputs& step, const TensorView&, const TensorView& logits,
            RunContext& context) const noexcept override {
    if (context.scratch->measuring()) return;
    const Rows<float> rows(logits);
    std::vector<std::int32_t> tokens;
    for (std::int64_t i = 0; i < step.logit_rows; ++i) {
      const std::int64_t row = number(step.logit_index, i);
      tokens.clear();
      for (std::int32_t slot = 0; slot <= number(step.slots, row); ++slot)
        tokens.push_back(*place(cache_.layers[slot % 2], step, row, slot));
      answer(tokens, {rows[i], static_cast<std::size_t>(kVocab)});
    }
  }

 protected:
  /// For models that say something else.
  virtual void answer(std::span<const std::int32_t> tokens, std::span<float> logits) const noexcept {
    logits_behind(tokens, logits);
  }

 private:
  static std::int32_t number(const TensorView& view, std::int64_t index) {
    return static_cast<const std::int32_t*>(view.data)[index];
  }
  static std::int32_t* place(const KvLayer& layer, const StepInputs& step, std::int64_t row, std::int32_t slot) {
    const std::int64_t columns = layer.page_table.shape[1];
    const std::int32_t page = number(layer.page_table, number(step.sequences, row) * columns + slot / kPageTokens);
    return reinterpret_cast<std::int32_t*>(layer.pages + page * layer.page_stride_bytes) + slot % kPageTokens;
  }
  TextModelInfo info_;
  mutable CacheView cache_;  // of the step at hand
};

}  // namespace corbel
