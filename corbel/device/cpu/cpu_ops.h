#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>

#include "corbel/base/thread_pool.h"
#include "corbel/device/cpu/cpu_tuning.h"
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/device.h"
#include "corbel/device/limits.h"

/// What the cpu device's ops share: the level's kernels, the threads, and scratch that is laid out when an op is
/// prepared, so that a run allocates nothing. Internal to corbel/device/cpu.
namespace corbel::cpu {

/// Memory for what happens within one op's run. Nothing in it outlives the run, so all ops of a device share it.
struct Scratch {
  DeviceMemory memory;
  std::size_t worker_bytes = 0;  // multiples of 64
  std::size_t shared_bytes = 0;

  std::byte* shared() const noexcept { return memory.data(); }
  std::byte* worker(int index) const noexcept {
    return memory.data() + shared_bytes + static_cast<std::size_t>(index) * worker_bytes;
  }
};

/// What a prepared op keeps.
struct OpState {
  const Kernels* kernels = nullptr;
  ThreadPool* pool = nullptr;
  CpuTuning tuning;
  std::int64_t split_from_rows = 1;        // from so many rows on, bf16 dot products take x split
  std::shared_ptr<const Scratch> scratch;  // null when the op needs none
};

class CpuDevice final : public Device {
 public:
  CpuDevice(const Kernels& kernels, const CpuTuning& tuning, MissingOps missing, ThreadPool& pool);

  Result<MachineLimits> measure_limits(const LimitSettings& settings) override;
  Result<TuningReport> tune(const TuningProgress& progress) override;

  /// State for an op that needs so much scratch; ops prepared before keep the smaller one they know.
  Result<OpState> state(std::size_t worker_bytes = 0, std::size_t shared_bytes = 0) const;

 private:
  const Kernels& kernels_;
  const CpuTuning tuning_;
  const std::int64_t split_from_rows_;
  mutable std::mutex mutex_;  // guards scratch_: models may be loaded from several threads
  mutable std::shared_ptr<const Scratch> scratch_;
};

inline const CpuDevice& cpu_device(const Device& device) { return static_cast<const CpuDevice&>(device); }

/// An op whose state is OpState.
template <typename Op>
Result<Prepared<Op>> prepare_plain(const typename Op::Spec& spec, const Device& device,
                                   typename Prepared<Op>::RunFunction run, std::size_t worker_bytes = 0) {
  CORBEL_ASSIGN(OpState state, cpu_device(device).state(worker_bytes));
  return Prepared<Op>(spec, run, std::make_shared<const OpState>(std::move(state)));
}

template <typename Op>
const OpState& state_of(const Prepared<Op>& self) noexcept {
  return *static_cast<const OpState*>(self.state());
}

/// Below this many elements waking other threads costs more than they save.
constexpr std::int64_t kElementsPerUnit = 16 * 1024;

/// body(row, worker) for all rows, in units of whole rows of about kElementsPerUnit elements.
template <typename Body>
void for_rows(ThreadPool& pool, std::int64_t rows, std::int64_t elements_per_row, Body&& body) noexcept {
  const std::int64_t per_unit =
      std::max<std::int64_t>(1, kElementsPerUnit / std::max<std::int64_t>(1, elements_per_row));
  const std::int64_t units = (rows + per_unit - 1) / per_unit;
  pool.parallel_for(units, [&](std::int64_t unit, int worker) {
    const std::int64_t end = std::min(rows, (unit + 1) * per_unit);
    for (std::int64_t row = unit * per_unit; row < end; ++row) body(row, worker);
  });
}

void add_row_ops(OpTable& table);
void add_linear_op(OpTable& table);
void add_rope_ops(OpTable& table);
void add_cache_ops(OpTable& table);
void add_attention_ops(OpTable& table);
void add_encode_op(OpTable& table);

}  // namespace corbel::cpu
