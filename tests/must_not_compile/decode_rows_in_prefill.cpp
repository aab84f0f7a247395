// Prefill and decode are two functions with two argument types: a step has no phase flag to get wrong.
// expect: no matching function for call to .*prefill_forward
#include "corbel/blocks/attention.h"

void use(const corbel::AttentionPrefillArgs& spans, const corbel::AttentionDecodeArgs& rows,
         const corbel::AttentionSpec& spec, const corbel::AttentionImplConfig& config,
         const corbel::AttentionWeights& weights, const corbel::KvLayer& cache, corbel::RunContext& context) {
#ifdef CORBEL_MUST_COMPILE
  corbel::prefill_forward(spans, spec, config, weights, cache, context);
  static_cast<void>(rows);
#else
  corbel::prefill_forward(rows, spec, config, weights, cache, context);
  static_cast<void>(spans);
#endif
}
