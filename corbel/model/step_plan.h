#pragma once
#include <cstdint>
#include <vector>

#include "corbel/device/device.h"
#include "corbel/ops/step_inputs.h"

namespace corbel {

/// The unit of work as plain numbers: who makes it (a scheduler), who runs it (a device), who replays it (a receipt)
/// all read the same struct. Rows are those of `prefill` spans in order, then one per `decode` span.
struct StepPlan {
  struct Span {
    std::int32_t sequence = 0;    // row of the page tables
    std::int32_t first_slot = 0;  // cache index of the span's first row
    std::int32_t rows = 1;
    std::int32_t logit_rows = 0;   // logits are wanted of the last so many rows
    std::int32_t rope_length = 0;  // for length-dependent rotary scalings; constant over a sequence's life
  };
  std::vector<Span> prefill;
  std::vector<Span> decode;                            // rows == 1 each
  std::vector<std::int32_t> tokens;                    // [rows]
  std::vector<std::int32_t> positions;                 // [rows] rotary positions; empty: the slots
  std::int32_t sequences = 0;                          // rows of each page table
  std::int32_t max_pages = 0;                          // columns of each page table
  std::vector<std::vector<std::int32_t>> page_tables;  // per cache group: [sequences * max_pages]

  std::int64_t rows() const;
  std::int64_t logit_rows() const;
};

struct StepLimits {
  std::int64_t rows = 0;
  std::int64_t sequences = 0;
  std::int64_t pages = 0;  // per sequence and group
  int groups = 1;
};

/// The device's copy of a plan, at addresses that never change.
class StepBuffer {
 public:
  static Result<StepBuffer> make(const StepLimits& limits, Device& device);

  /// Copies the plan in. The plan fits the limits and its tokens fit the vocabulary: the caller has checked.
  StepInputs write(const StepPlan& plan) noexcept;
  const StepLimits& limits() const { return limits_; }

  /// A plan-shaped set of inputs for measuring: `rows` rows as prefill spans or decode rows, nothing written.
  StepInputs measure(std::int64_t prefill_rows, std::int64_t decode_rows, std::int64_t logit_rows) const noexcept;

 private:
  StepLimits limits_;
  DeviceMemory memory_;
};

}  // namespace corbel
