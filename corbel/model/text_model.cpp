#include "corbel/model/text_model.h"

namespace corbel {

std::int64_t CacheSpec::bytes_per_page() const {
  std::int64_t bytes = 0;
  for (const CacheGroup& group : groups) bytes += group.page_bytes();
  return bytes;
}

void TextModel::forward(const StepInputs& step, const CacheView& cache, const TensorView& logits,
                        RunContext& context) const noexcept {
  const ArenaScope scope(*context.scratch);
  const TensorView hidden = context.allocate(DType::f32, {step.rows, info().hidden});
  embed(step, hidden, context);
  run_layers(0, info().layers, step, hidden, cache, context);
  if (!context.cancelled()) head(step, hidden, logits, context);
}

void TextModel::forward_hidden(const StepInputs& step, const CacheView& cache, const TensorView& rows,
                               RunContext& context) const noexcept {
  const ArenaScope scope(*context.scratch);
  const TensorView hidden = context.allocate(DType::f32, {step.rows, info().hidden});
  embed(step, hidden, context);
  run_layers(0, info().layers, step, hidden, cache, context);
  if (!context.cancelled()) final_hidden(step, hidden, rows, context);
}

}  // namespace corbel
