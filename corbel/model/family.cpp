#include "corbel/model/family.h"

#include <algorithm>

namespace corbel {
namespace {

class CausalLmModel final : public TextModel {
 public:
  CausalLmModel(std::unique_ptr<WeightStore> store, CausalLm model, TextModelInfo info)
      : store_(std::move(store)), model_(std::move(model)), info_(std::move(info)) {}

  const TextModelInfo& info() const override { return info_; }
  std::vector<WeightBase*> weight_bases() override {
    std::vector<WeightBase*> bases;
    for (WeightBase& base : store_->bases()) bases.push_back(&base);
    return bases;
  }
  void embed(const StepInputs& step, const TensorView& hidden, RunContext& context) const noexcept override {
    model_.embed(step, hidden, context);
  }
  void run_layers(int first, int count, const StepInputs& step, const TensorView& hidden, const CacheView& cache,
                  RunContext& context) const noexcept override {
    model_.run_layers(first, count, step, hidden, cache, context);
  }
  void final_hidden(const StepInputs& step, const TensorView& hidden, const TensorView& rows,
                    RunContext& context) const noexcept override {
    model_.final_hidden(step, hidden, rows, context);
  }
  void head(const StepInputs& step, const TensorView& hidden, const TensorView& logits,
            RunContext& context) const noexcept override {
    model_.head(step, hidden, logits, context);
  }

 private:
  std::unique_ptr<WeightStore> store_;  // outlives the model's references into it
  CausalLm model_;
  TextModelInfo info_;
};

/// Layers with the same window and page share a group.
CacheSpec declare_caches(const CausalLm& model) {
  CacheSpec cache;
  for (int layer = 0; layer < static_cast<int>(model.spec().layers.size()); ++layer) {
    const std::int64_t window = model.spec().layers[layer].attention.window;
    const KvPageSpec page = model.page(layer);
    const auto same = std::find_if(cache.groups.begin(), cache.groups.end(), [&](const CacheGroup& group) {
      return group.window == window && group.page.page_bytes() == page.page_bytes() &&
             group.page.head_dim == page.head_dim;
    });
    if (same != cache.groups.end()) {
      same->layers.push_back(layer);
      continue;
    }
    const auto kind = window > 0 ? CacheGroup::Kind::windowed : CacheGroup::Kind::paged;
    cache.groups.push_back({kind, window, page, {layer}});
  }
  return cache;
}

std::int64_t count_parameters(const TensorSource& tensors) {
  std::int64_t parameters = 0;
  for (const std::string& name : tensors.names()) {
    if (const auto tensor = tensors.find(name)) parameters += tensor->shape.elements();
  }
  return parameters;
}

void count_linear(const Linear::Spec& spec, Operations& operations) {
  std::int64_t features = 0;
  for (int w = 0; w < spec.weights; ++w) features += spec.outputs[w].features;
  std::int64_t& count = spec.arithmetic == Arithmetic::int8   ? operations.int8
                        : spec.arithmetic == Arithmetic::bf16 ? operations.bf16
                                                              : operations.f32;
  count += 2 * spec.in_features * features;
}

/// Work of a step that no kernel can avoid.
void count_work(const CausalLm& model, const WeightStore& store, TextModelInfo& info) {
  info.step_read_bytes = store.mapped_bytes();
  if (!model.spec().head.tied) info.step_read_bytes -= model.embedding_bytes();
  for (int layer = 0; layer < static_cast<int>(model.spec().layers.size()); ++layer) {
    for (const Linear::Spec* spec : model.linear_specs(layer)) count_linear(*spec, info.ops_per_row);
    const AttentionSpec& attention = model.spec().layers[layer].attention;
    const bool f32 = model.page(layer).dtype == DType::f32;
    (f32 ? info.attention_ops_per_key.f32 : info.attention_ops_per_key.bf16) +=
        4 * attention.q_heads * attention.head_dim;
  }
  count_linear(model.head_linear(), info.ops_per_logit_row);
  const auto last = model.linear_specs(static_cast<int>(model.spec().layers.size()) - 1);
  Linear::Spec queries = *last[0];
  queries.weights = 1;
  count_linear(queries, info.ops_per_wanted_row);
  for (std::size_t i = 1; i < last.size(); ++i) count_linear(*last[i], info.ops_per_wanted_row);
}

bool looks_at_length(const CausalLmSpec& spec) {
  return std::any_of(spec.layers.begin(), spec.layers.end(), [](const DecoderLayerSpec& layer) {
    const RotaryScaling scaling = layer.attention.rotary.scaling;
    return layer.attention.rotates && (scaling == RotaryScaling::dynamic_ntk || scaling == RotaryScaling::longrope);
  });
}

}  // namespace

Result<std::unique_ptr<TextModel>> make_causal_lm_model(CausalLmDescription description, std::string_view family,
                                                        const ModelSource& source, const Device& device) {
  auto store = std::make_unique<WeightStore>(source.tensors);
  const RoleNames names(description.roles);
  CORBEL_TRY(description.spec.validate());
  auto config = get_default_impl_config(description.spec, device.info(), Mode::decode, source.options.strategy);
  if (source.options.kv_cache) config.layer.attention.cache_dtype = *source.options.kv_cache;
  CORBEL_ASSIGN(CausalLm model,
                CausalLm::make(std::move(description.spec), config, WeightContext{*store, names, device}));
  CORBEL_TRY(store->check_all_used(description.ignored));

  TextModelInfo info{.family = std::string(family), .architecture = source.architecture};
  info.strategy = source.options.strategy;
  info.vocab = model.spec().head.vocab;
  info.hidden = model.spec().embedding.hidden;
  info.layers = static_cast<int>(model.spec().layers.size());
  info.max_positions = description.max_positions;
  info.rope_by_length = looks_at_length(model.spec());
  info.weight_bytes = store->mapped_bytes();
  info.owned_bytes = store->owned_bytes();
  info.parameters = count_parameters(*source.tensors);
  count_work(model, *store, info);
  info.cache = declare_caches(model);
  info.weights = store->uses();
  if (static_cast<int>(info.cache.groups.size()) > kMaxCacheGroups) {
    return fail(Code::unsupported,
                cat("the layers need ", info.cache.groups.size(), " kinds of cache; at most ", kMaxCacheGroups));
  }
  return std::unique_ptr<TextModel>(
      std::make_unique<CausalLmModel>(std::move(store), std::move(model), std::move(info)));
}

}  // namespace corbel
