#include "corbel/blocks/embeddings.h"

namespace corbel {
namespace {

Result<void> validate_table(std::string_view what, std::int64_t entries, std::int64_t hidden) {
  if (entries > 0 && hidden > 0) return {};
  return fail(Code::bad_file, cat(what, ": a table of [", entries, ", ", hidden, "]; both sizes must be positive"));
}

}  // namespace

Result<void> TokenEmbeddingSpec::validate() const { return validate_table("token embedding", vocab, hidden); }
Result<void> LearnedPositionSpec::validate() const {
  return validate_table("position embedding", max_positions, hidden);
}

EmbeddingImplConfig get_default_impl_config(const TokenEmbeddingSpec&, const DeviceInfo&, Mode, Strategy) { return {}; }
EmbeddingImplConfig get_default_impl_config(const LearnedPositionSpec&, const DeviceInfo&, Mode, Strategy) {
  return {};
}

Result<TokenEmbeddingWeights> make_token_embedding_weights(const TokenEmbeddingSpec& spec,
                                                           const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  TokenEmbeddingWeights weights{.module = context.names.module("embedding")};
  CORBEL_ASSIGN(weights.table, context.store.matrix(weights.module + ".weight", spec.vocab, spec.hidden));
  const Embedding::Spec op{spec.vocab, spec.hidden, weights.table.format, static_cast<float>(spec.scale)};
  CORBEL_ASSIGN(weights.op, context.device.prepare<Embedding>(op));
  return weights;
}

Result<LearnedPositionWeights> make_learned_position_weights(const LearnedPositionSpec& spec,
                                                             const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  LearnedPositionWeights weights{.module = context.names.module("position_embedding")};
  CORBEL_ASSIGN(weights.table, context.store.matrix(weights.module + ".weight", spec.max_positions, spec.hidden));
  const Embedding::Spec op{spec.max_positions, spec.hidden, weights.table.format, 1.0F};
  CORBEL_ASSIGN(weights.op, context.device.prepare<Embedding>(op));
  CORBEL_ASSIGN(weights.add, context.device.prepare<Add>({spec.hidden}));
  return weights;
}

void prefill_forward(const EmbeddingArgs& args, const TokenEmbeddingSpec&, const EmbeddingImplConfig&,
                     const TokenEmbeddingWeights& weights, RunContext& context) noexcept {
  weights.op({args.ids, weights.table.data(), args.out}, context);
  context.tap(weights.module, "", args.out);
}

void decode_forward(const EmbeddingArgs& args, const TokenEmbeddingSpec& spec, const EmbeddingImplConfig& config,
                    const TokenEmbeddingWeights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

void prefill_forward(const EmbeddingArgs& args, const LearnedPositionSpec& spec, const EmbeddingImplConfig&,
                     const LearnedPositionWeights& weights, RunContext& context) noexcept {
  const ArenaScope scope(*context.scratch);
  const TensorView rows = context.allocate(DType::f32, {args.out.rows(), spec.hidden});
  weights.op({args.ids, weights.table.data(), rows}, context);
  context.tap(weights.module, "", rows);
  weights.add({args.out, rows, args.out}, context);
}

void decode_forward(const EmbeddingArgs& args, const LearnedPositionSpec& spec, const EmbeddingImplConfig& config,
                    const LearnedPositionWeights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

}  // namespace corbel
