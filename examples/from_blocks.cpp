// A two-layer language model of hidden 512 made of blocks alone: no family, no pattern, no engine. Weights come from a
// seed; a checkpoint's TensorSource would do as well. Prefills 10 tokens, decodes 5.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "corbel/blocks/attention.h"
#include "corbel/blocks/embeddings.h"
#include "corbel/blocks/ffn.h"
#include "corbel/blocks/lm_head.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/step_plan.h"

using namespace corbel;

namespace {

constexpr std::int64_t kHidden = 512, kVocab = 1000, kContext = 64;

struct Layer {
  RmsNormWeights input_norm, post_norm;
  AttentionWeights attention;
  GatedMlpWeights ffn;
};

struct TwoLayerModel {
  RmsNormSpec norm{.hidden = kHidden};
  AttentionSpec attention{.hidden = kHidden, .q_heads = 8, .kv_heads = 2, .head_dim = 64, .rotary = {.rotary_dim = 64}};
  GatedMlpSpec ffn{.hidden = kHidden, .ffn = 1536};
  TokenEmbeddingSpec embedding{.vocab = kVocab, .hidden = kHidden};
  LmHeadSpec head{.hidden = kHidden, .vocab = kVocab, .tied = true};
  AttentionImplConfig attention_config;
  FfnImplConfig ffn_config;

  std::vector<Layer> layers;
  RmsNormWeights final_norm;
  TokenEmbeddingWeights embedding_weights;
  LmHeadWeights head_weights;
  Prepared<RopeTable> rope;
  Prepared<Add> add;

  Result<void> load(WeightStore& store, const Device& device) {
    const RoleNames names({{"embedding", "embed"},
                           {"final_norm", "norm"},
                           {"lm_head", "head"},
                           {"attention", "{layer}.attn"},
                           {"attention.q", "{layer}.attn.q_proj"},
                           {"attention.k", "{layer}.attn.k_proj"},
                           {"attention.v", "{layer}.attn.v_proj"},
                           {"attention.output", "{layer}.attn.o_proj"},
                           {"ffn", "{layer}.mlp"},
                           {"ffn.gate", "{layer}.mlp.gate_proj"},
                           {"ffn.up", "{layer}.mlp.up_proj"},
                           {"ffn.down", "{layer}.mlp.down_proj"},
                           {"input_norm", "{layer}.input_layernorm"},
                           {"post_norm", "{layer}.post_layernorm"}});
    for (int i = 0; i < 2; ++i) {
      const RoleNames at_layer = names.at_layer(i);
      const WeightContext context{store, at_layer, device};
      Layer layer;
      CORBEL_ASSIGN(layer.input_norm, make_rms_norm_weights(norm, at_layer.module("input_norm"), context));
      CORBEL_ASSIGN(layer.attention, make_attention_weights(attention, attention_config, context));
      CORBEL_ASSIGN(layer.post_norm, make_rms_norm_weights(norm, at_layer.module("post_norm"), context));
      CORBEL_ASSIGN(layer.ffn, make_gated_mlp_weights(ffn, ffn_config, context));
      layers.push_back(std::move(layer));
    }
    const WeightContext context{store, names, device};
    CORBEL_ASSIGN(embedding_weights, make_token_embedding_weights(embedding, context));
    CORBEL_ASSIGN(final_norm, make_rms_norm_weights(norm, names.module("final_norm"), context));
    CORBEL_ASSIGN(head_weights, make_lm_head_weights(head, {}, context));
    CORBEL_ASSIGN(rope, device.prepare<RopeTable>(make_rope_table_spec(attention.rotary)));
    CORBEL_ASSIGN(add, device.prepare<Add>({kHidden}));
    return {};
  }

  /// Logits of every row; `attend` is prefill_forward or decode_forward of the attention block with its own argument
  /// type.
  template <typename AttentionArguments>
  TensorView forward(const StepInputs& step, std::vector<KvLayer>& cache, RunContext& context) const {
    const TensorView x = context.allocate(DType::f32, {step.rows, kHidden});
    const TensorView normed = context.allocate(DType::f32, {step.rows, kHidden});
    const TensorView branch = context.allocate(DType::f32, {step.rows, kHidden});
    const TensorView angles = context.allocate(DType::f32, {step.rows, 2, 32});
    const TensorView logits = context.allocate(DType::f32, {step.rows, kVocab});
    prefill_forward({step.ids, x}, embedding, {}, embedding_weights, context);
    rope({step.positions, step.rope_lengths, angles}, context);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      cache[i].page_table = step.page_tables[0];
      prefill_forward({x, normed}, norm, {}, layers[i].input_norm, context);
      attend(AttentionArguments{{normed, angles, branch, step}}, layers[i].attention, cache[i], context);
      add({x, branch, x}, context);
      prefill_forward({x, normed}, norm, {}, layers[i].post_norm, context);
      prefill_forward({normed, branch}, ffn, ffn_config, layers[i].ffn, context);
      add({x, branch, x}, context);
    }
    prefill_forward({x, x}, norm, {}, final_norm, context);
    prefill_forward({x, logits}, head, {}, head_weights, context);
    return logits;
  }

  void attend(const AttentionPrefillArgs& args, const AttentionWeights& weights, const KvLayer& cache,
              RunContext& context) const {
    prefill_forward(args, attention, attention_config, weights, cache, context);
  }
  void attend(const AttentionDecodeArgs& args, const AttentionWeights& weights, const KvLayer& cache,
              RunContext& context) const {
    decode_forward(args, attention, attention_config, weights, cache, context);
  }
};

std::int32_t best(const TensorView& logits) {
  const float* row = Rows<const float>(logits)[logits.rows() - 1];
  return static_cast<std::int32_t>(std::max_element(row, row + kVocab) - row);
}

Result<void> run() {
  const std::unique_ptr<Device> device = make_reference_device();
  WeightStore store(std::make_shared<SeededSource>(7, DType::bf16, std::vector<std::string>{}));
  TwoLayerModel model;
  CORBEL_TRY(model.load(store, *device));

  const KvPageSpec page = cache_page(model.attention, model.attention_config);
  CORBEL_ASSIGN(const DeviceMemory pages, device->allocate(static_cast<std::size_t>(2 * page.page_bytes())));
  std::vector<KvLayer> cache = {{pages.data(), page.page_bytes(), {}},
                                {pages.data() + page.page_bytes(), page.page_bytes(), {}}};
  CORBEL_ASSIGN(const DeviceMemory scratch, device->allocate(std::size_t{16} << 20));
  CORBEL_ASSIGN(StepBuffer inputs, StepBuffer::make({.rows = 10, .sequences = 1, .pages = 1}, *device));

  StepPlan plan{.prefill = {{.rows = 10}}, .sequences = 1, .max_pages = 1, .page_tables = {{0}}};
  for (std::int32_t i = 0; i < 10; ++i) plan.tokens.push_back(17 * i % kVocab);
  Arena arena(scratch.data(), scratch.bytes());
  RunContext context{.device = device.get(), .scratch = &arena};
  std::int32_t token = best(model.forward<AttentionPrefillArgs>(inputs.write(plan), cache, context));
  plan.prefill.clear();
  for (std::int32_t i = 0; i < 5; ++i) {
    std::printf("%d\n", token);
    plan.decode = {{.first_slot = 10 + i}};
    plan.tokens = {token};
    arena.release(0);
    token = best(model.forward<AttentionDecodeArgs>(inputs.write(plan), cache, context));
  }
  return {};
}

}  // namespace

int main() {
  const Result<void> done = run();
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
