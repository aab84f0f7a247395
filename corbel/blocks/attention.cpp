#include "corbel/blocks/attention.h"

#include <cmath>

namespace corbel {
namespace {

/// Projections, norms, rotation and append: what needs no other position.
TensorView project(const AttentionArgs& args, const AttentionSpec& spec, const AttentionWeights& weights,
                   const KvLayer& cache, RunContext& context) noexcept {
  const std::int64_t rows = args.step.rows;
  const TensorView q = context.allocate(DType::f32, {rows, spec.q_heads * spec.head_dim});
  const TensorView k = context.allocate(DType::f32, {rows, spec.kv_heads * spec.head_dim});
  const TensorView v = context.allocate(DType::f32, {rows, spec.kv_heads * spec.head_dim});
  weights.qkv.run(args.x, {q, k, v}, context);
  context.tap(weights.module, ".q_proj", q);
  context.tap(weights.module, ".k_proj", k);
  context.tap(weights.module, ".v_proj", v);
  if (weights.q_norm) {
    const TensorView q_rows = q.reshaped({rows * spec.q_heads, spec.head_dim});
    const TensorView k_rows = k.reshaped({rows * spec.kv_heads, spec.head_dim});
    prefill_forward({q_rows, q_rows}, *spec.qk_norm, NormImplConfig{}, *weights.q_norm, context);
    prefill_forward({k_rows, k_rows}, *spec.qk_norm, NormImplConfig{}, *weights.k_norm, context);
  }
  const TensorView q_heads = q.reshaped({rows, spec.q_heads, spec.head_dim});
  const TensorView k_heads = k.reshaped({rows, spec.kv_heads, spec.head_dim});
  const TensorView v_heads = v.reshaped({rows, spec.kv_heads, spec.head_dim});
  if (spec.rotates) {
    weights.q_rope({q_heads, args.rope}, context);
    weights.k_rope({k_heads, args.rope}, context);
  }
  weights.append({k_heads, v_heads, args.step.sequences, args.step.slots, cache}, context);
  return q_heads;
}

void attend_spans(const AttentionArgs& args, const TensorView& q, const AttentionWeights& weights, const KvLayer& cache,
                  RunContext& context) noexcept {
  weights.prefill({q, args.step.spans, args.step.slots, cache, q}, context);
}

TensorView heads_range(const TensorView& heads, std::int64_t first, std::int64_t rows) noexcept {
  const std::int64_t width = heads.shape[1] * heads.shape[2];
  return heads.reshaped({heads.shape[0], width})
      .row_range(first, rows)
      .reshaped({rows, heads.shape[1], heads.shape[2]});
}

TensorView index_range(const TensorView& index, std::int64_t first, std::int64_t count) noexcept {
  return index.reshaped({index.shape[0], 1}).row_range(first, count).reshaped({count});
}

void attend_decode_rows(const AttentionArgs& args, const TensorView& q, const AttentionWeights& weights,
                        const KvLayer& cache, RunContext& context) noexcept {
  const std::int64_t first = args.step.prefill_rows;
  const std::int64_t rows = args.step.rows - first;
  const TensorView part = heads_range(q, first, rows);
  weights.decode(
      {part, index_range(args.step.sequences, first, rows), index_range(args.step.slots, first, rows), cache, part},
      context);
}

void project_output(const AttentionArgs& args, const TensorView& q, const AttentionWeights& weights,
                    RunContext& context) noexcept {
  TensorView heads = q.reshaped({q.shape[0], q.shape[1] * q.shape[2]});
  if (args.wanted_rows_alone) {
    const TensorView wanted = context.allocate(DType::f32, {args.step.logit_rows, heads.columns()});
    weights.gather({heads, args.step.logit_index, wanted}, context);
    heads = wanted;
  }
  weights.output.run(heads, {args.out}, context);
  context.tap(weights.module, ".o_proj", args.out);
  context.tap(weights.module, "", args.out);
}

/// Projections once over all rows; attention by the kind of row: spans first, then decode rows.
void run_rows(const AttentionArgs& args, const AttentionSpec& spec, const AttentionWeights& weights,
              const KvLayer& cache, RunContext& context) noexcept {
  const ArenaScope scope(*context.scratch);
  const TensorView q = project(args, spec, weights, cache, context);
  if (args.wanted_rows_alone && args.step.logit_rows == 0) return;
  if (args.step.prefill_spans > 0) attend_spans(args, q, weights, cache, context);
  if (args.step.rows > args.step.prefill_rows) attend_decode_rows(args, q, weights, cache, context);
  project_output(args, q, weights, context);
}

}  // namespace

float AttentionSpec::scale() const {
  return static_cast<float>(softmax_scale > 0.0 ? softmax_scale : 1.0 / std::sqrt(static_cast<double>(head_dim)));
}

Result<void> AttentionSpec::validate() const {
  if (hidden <= 0 || q_heads <= 0 || kv_heads <= 0 || head_dim <= 0) {
    return fail(Code::bad_file, cat("attention: hidden=", hidden, " q_heads=", q_heads, " kv_heads=", kv_heads,
                                    " head_dim=", head_dim, "; all must be positive"));
  }
  if (q_heads % kv_heads != 0) {
    return fail(Code::bad_file, cat("attention: q_heads=", q_heads, " is not a multiple of kv_heads=", kv_heads));
  }
  if (window < 0)
    return fail(Code::bad_file, cat("attention: window is ", window, "; it must be 0 (none) or positive"));
  if (qk_norm && qk_norm->hidden != head_dim) {
    return fail(Code::bad_file,
                cat("attention: the norm of q and k spans ", qk_norm->hidden, " values; head_dim is ", head_dim));
  }
  if (!rotates) return {};
  if (rotary.rotary_dim > head_dim) {
    return fail(Code::bad_file, cat("attention: rotary_dim=", rotary.rotary_dim, " exceeds head_dim=", head_dim));
  }
  return rotary.validate();
}

AttentionImplConfig get_default_impl_config(const AttentionSpec&, const DeviceInfo&, Mode, Strategy strategy) {
  const bool exact = strategy == Strategy::accuracy;
  const DType rounded = strategy == Strategy::memory ? DType::i8 : DType::bf16;
  return {.bf16_products = !exact, .cache_dtype = exact ? DType::f32 : rounded};
}

std::span<const CacheType> cache_types() {
  static constexpr CacheType kTypes[] = {{"f32", DType::f32}, {"bf16", DType::bf16}, {"int8", DType::i8}};
  return kTypes;
}

KvPageSpec cache_page(const AttentionSpec& spec, const AttentionImplConfig& config) {
  return {spec.kv_heads, spec.head_dim, config.cache_dtype};
}

Result<AttentionWeights> make_attention_weights(const AttentionSpec& spec, const AttentionImplConfig& config,
                                                const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  AttentionWeights weights{.module = context.names.module("attention")};
  const std::int64_t q_width = spec.q_heads * spec.head_dim;
  const std::int64_t kv_width = spec.kv_heads * spec.head_dim;
  LinearPlan qkv{.in_features = spec.hidden, .bf16_products = config.bf16_products};
  qkv.parts = {{context.names.module("attention.q"), q_width, spec.qkv_bias},
               {context.names.module("attention.k"), kv_width, spec.qkv_bias},
               {context.names.module("attention.v"), kv_width, spec.qkv_bias}};
  CORBEL_ASSIGN(weights.qkv, make_linear(qkv, context));
  LinearPlan output{.in_features = q_width, .bf16_products = config.bf16_products};
  output.parts = {{context.names.module("attention.output"), spec.hidden, spec.output_bias}};
  CORBEL_ASSIGN(weights.output, make_linear(output, context));
  if (spec.qk_norm) {
    CORBEL_ASSIGN(weights.q_norm,
                  make_rms_norm_weights(*spec.qk_norm, context.names.module("attention.q_norm"), context));
    CORBEL_ASSIGN(weights.k_norm,
                  make_rms_norm_weights(*spec.qk_norm, context.names.module("attention.k_norm"), context));
  }
  const Device& device = context.device;
  if (spec.rotates) {
    const RopeApply::Spec rope{spec.q_heads, spec.head_dim, spec.rotary.rotary_dim, spec.rotary.layout};
    CORBEL_ASSIGN(weights.q_rope, device.prepare<RopeApply>(rope));
    CORBEL_ASSIGN(weights.k_rope,
                  device.prepare<RopeApply>({spec.kv_heads, rope.head_dim, rope.rotary_dim, rope.layout}));
  }
  const AttentionOpSpec op{cache_page(spec, config), spec.q_heads, spec.scale(), spec.window};
  CORBEL_ASSIGN(weights.append, device.prepare<KvAppend>({op.page}));
  CORBEL_ASSIGN(weights.prefill, device.prepare<AttentionPrefill>(op));
  CORBEL_ASSIGN(weights.decode, device.prepare<AttentionDecode>(op));
  CORBEL_ASSIGN(weights.gather, device.prepare<GatherRows>({q_width}));
  return weights;
}

void prefill_forward(const AttentionPrefillArgs& args, const AttentionSpec& spec, const AttentionImplConfig&,
                     const AttentionWeights& weights, const KvLayer& cache, RunContext& context) noexcept {
  run_rows(args, spec, weights, cache, context);
}

void decode_forward(const AttentionDecodeArgs& args, const AttentionSpec& spec, const AttentionImplConfig&,
                    const AttentionWeights& weights, const KvLayer& cache, RunContext& context) noexcept {
  run_rows(args, spec, weights, cache, context);
}

void step_forward(const AttentionStepArgs& args, const AttentionSpec& spec, const AttentionImplConfig&,
                  const AttentionWeights& weights, const KvLayer& cache, RunContext& context) noexcept {
  run_rows(args, spec, weights, cache, context);
}

}  // namespace corbel
