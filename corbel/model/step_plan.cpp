#include "corbel/model/step_plan.h"

#include <algorithm>

#include "corbel/tensor/arena.h"

namespace corbel {
namespace {

/// All views at their largest; write() then narrows them.
StepInputs lay_out(const StepLimits& limits, Arena& arena) {
  StepInputs inputs;
  inputs.ids = arena.allocate(DType::i32, {limits.rows});
  inputs.positions = arena.allocate(DType::i32, {limits.rows, 1});
  inputs.rope_lengths = arena.allocate(DType::i32, {limits.rows});
  inputs.sequences = arena.allocate(DType::i32, {limits.rows});
  inputs.slots = arena.allocate(DType::i32, {limits.rows});
  inputs.spans = arena.allocate(DType::i32, {limits.sequences, 3});
  inputs.logit_index = arena.allocate(DType::i32, {limits.rows});
  for (int group = 0; group < limits.groups; ++group) {
    inputs.page_tables[group] = arena.allocate(DType::i32, {limits.sequences, limits.pages});
  }
  return inputs;
}

std::int32_t* numbers(const TensorView& view) { return static_cast<std::int32_t*>(view.data); }

}  // namespace

std::int64_t StepPlan::rows() const {
  std::int64_t rows = static_cast<std::int64_t>(decode.size());
  for (const Span& span : prefill) rows += span.rows;
  return rows;
}

std::int64_t StepPlan::logit_rows() const {
  std::int64_t rows = 0;
  for (const Span& span : prefill) rows += span.logit_rows;
  for (const Span& span : decode) rows += span.logit_rows;
  return rows;
}

Result<StepBuffer> StepBuffer::make(const StepLimits& limits, Device& device) {
  CORBEL_CHECK(limits.rows > 0 && limits.sequences > 0 && limits.pages > 0 && limits.groups <= kMaxCacheGroups,
               "step limits");
  Arena measuring;
  lay_out(limits, measuring);
  StepBuffer buffer;
  buffer.limits_ = limits;
  CORBEL_ASSIGN(buffer.memory_, device.allocate(measuring.peak_bytes()));
  return buffer;
}

StepInputs StepBuffer::measure(std::int64_t prefill_rows, std::int64_t decode_rows,
                               std::int64_t logit_rows) const noexcept {
  Arena arena(memory_.data(), memory_.bytes());
  StepInputs inputs = lay_out(limits_, arena);
  inputs.rows = prefill_rows + decode_rows;
  inputs.prefill_rows = prefill_rows;
  inputs.prefill_spans = prefill_rows > 0 ? 1 : 0;
  inputs.logit_rows = logit_rows;
  inputs.ids.shape = inputs.rope_lengths.shape = inputs.sequences.shape = inputs.slots.shape = {inputs.rows};
  inputs.positions.shape = {inputs.rows, 1};
  inputs.spans.shape = {inputs.prefill_spans, 3};
  inputs.logit_index.shape = {logit_rows};
  return inputs;
}

StepInputs StepBuffer::write(const StepPlan& plan) noexcept {
  const std::int64_t rows = plan.rows();
  CORBEL_CHECK(rows <= limits_.rows && plan.sequences <= limits_.sequences && plan.max_pages <= limits_.pages &&
                   static_cast<std::int64_t>(plan.prefill.size()) <= limits_.sequences,
               "a plan of ", rows, " rows, ", plan.sequences, " sequences, ", plan.max_pages,
               " pages exceeds the step's limits");
  CORBEL_CHECK(static_cast<std::int64_t>(plan.tokens.size()) == rows, plan.tokens.size(), " tokens for ", rows,
               " rows");
  StepInputs inputs = measure(rows - static_cast<std::int64_t>(plan.decode.size()),
                              static_cast<std::int64_t>(plan.decode.size()), plan.logit_rows());
  inputs.prefill_spans = static_cast<std::int64_t>(plan.prefill.size());
  inputs.spans.shape = {inputs.prefill_spans, 3};

  std::copy(plan.tokens.begin(), plan.tokens.end(), numbers(inputs.ids));
  std::int32_t row = 0;
  std::int32_t* logit_index = numbers(inputs.logit_index);
  const auto write_span = [&](const StepPlan::Span& span) {
    for (std::int32_t i = 0; i < span.rows; ++i, ++row) {
      const std::int32_t slot = span.first_slot + i;
      numbers(inputs.sequences)[row] = span.sequence;
      numbers(inputs.slots)[row] = slot;
      numbers(inputs.positions)[row] = plan.positions.empty() ? slot : plan.positions[row];
      numbers(inputs.rope_lengths)[row] = span.rope_length;
      if (i >= span.rows - span.logit_rows) *logit_index++ = row;
    }
  };
  std::int32_t* spans = numbers(inputs.spans);
  for (const StepPlan::Span& span : plan.prefill) {
    *spans++ = span.sequence;
    *spans++ = row;
    *spans++ = span.rows;
    write_span(span);
  }
  for (const StepPlan::Span& span : plan.decode) write_span(span);
  for (std::size_t group = 0; group < plan.page_tables.size(); ++group) {
    TensorView& table = inputs.page_tables[group];
    for (std::int32_t sequence = 0; sequence < plan.sequences; ++sequence) {
      std::copy_n(plan.page_tables[group].begin() + std::int64_t{sequence} * plan.max_pages, plan.max_pages,
                  numbers(table) + sequence * table.row_stride);
    }
    table.shape = {plan.sequences, plan.max_pages};  // the stride stays that of the largest table
  }
  return inputs;
}

}  // namespace corbel
