#include "corbel/model/text_model.h"

namespace corbel {

std::int64_t CacheSpec::bytes_per_page() const {
  std::int64_t bytes = 0;
  for (const CacheGroup& group : groups) bytes += group.page_bytes();
  return bytes;
}

namespace {

/// Embeds, runs all layers and what follows them.
template <typename Finish>
void run_all(const TextModel& model, const StepInputs& step, const CacheView& cache, RunContext& context,
             Finish&& finish) noexcept {
  const ArenaScope scope(*context.scratch);
  const TensorView hidden = context.allocate(DType::f32, {step.rows, model.info().hidden});
  model.embed(step, hidden, context);
  model.run_layers(0, model.info().layers, step, hidden, cache, context);
  if (!context.cancelled()) finish(hidden);
}

/// What the step runs as: whoever watches sees all rows. Scratch is measured for either way, since any number of the
/// rows may be wanted.
StepInputs lean(StepInputs step, const RunContext& context) noexcept {
  step.keeps_wanted_rows =
      context.scratch->measuring() || (context.tap_function == nullptr && step.logit_rows < step.rows);
  return step;
}

}  // namespace

void TextModel::forward(const StepInputs& step, const CacheView& cache, const TensorView& logits,
                        RunContext& context) const noexcept {
  const auto run = [&](const StepInputs& inputs) {
    run_all(*this, inputs, cache, context, [&](const TensorView& hidden) { head(inputs, hidden, logits, context); });
  };
  if (context.scratch->measuring()) run(step);
  run(lean(step, context));
}

void TextModel::forward_hidden(const StepInputs& step, const CacheView& cache, const TensorView& rows,
                               RunContext& context) const noexcept {
  const auto run = [&](const StepInputs& inputs) {
    run_all(*this, inputs, cache, context,
            [&](const TensorView& hidden) { final_hidden(inputs, hidden, rows, context); });
  };
  if (context.scratch->measuring()) run(step);
  run(lean(step, context));
}

}  // namespace corbel
