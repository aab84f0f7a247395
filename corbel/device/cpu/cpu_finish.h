#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/ops/linear.h"

namespace corbel::cpu {

/// Neighbouring outputs of one weight (gated: of both), for some rows of a call.
struct OutputSpan {
  int weight = 0;
  std::int64_t begin = 0;
  std::int64_t first_row = 0;
};

/// Asks for the lines of outputs (and residuals) that these rows and columns will be written to, so that they are there
/// when the dot products are done: another core wrote them last.
void fetch_outputs(const Linear::Spec& spec, const Linear::Args& call, const OutputSpan& span, std::int64_t rows,
                   std::int64_t count) noexcept;

/// What follows the dot products of a Linear: `args` has dots, up, stride, rows and count; the rest is filled in.
void finish_outputs(const Linear::Spec& spec, const Linear::Args& call, const PackedKernels& kernels,
                    const OutputSpan& span, FinishArgs args) noexcept;

}  // namespace corbel::cpu
