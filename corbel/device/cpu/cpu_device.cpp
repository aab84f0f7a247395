#include "corbel/device/cpu/cpu_device.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <limits>

#include "corbel/device/cpu/cpu_levels.h"
#include "corbel/device/cpu/cpu_ops.h"

namespace corbel {
namespace cpu {
namespace {

/// Seconds of the fastest of some short runs.
double best_seconds(std::int64_t (*operations)(std::int64_t rounds), std::int64_t rounds) {
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    operations(rounds);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

/// From how many rows on two multiply-adds are faster than one vdpbf16ps. Both give the same bits, so measuring is
/// allowed; it takes under a millisecond. With one or two rows memory is slower than either.
std::int64_t find_split_rows(const Kernels& kernels) {
  if (kernels.dot_bf16_pairs == nullptr) return 1;
  constexpr std::int64_t kRounds = 2000;
  constexpr double kSplitting = 1.3;  // two multiply-adds, and taking weights apart
  // One round of f32 operations does half the products of one of bf16 operations.
  const double by_pairs = best_seconds(kernels.probes.bf16_operations, kRounds);
  const double by_split = 2.0 * kSplitting * best_seconds(kernels.probes.f32_operations, kRounds);
  return by_split < by_pairs ? 3 : std::numeric_limits<std::int64_t>::max();
}

}  // namespace

CpuDevice::CpuDevice(const Kernels& kernels, const CpuTuning& tuning, MissingOps missing, ThreadPool& pool)
    : Device({.name = "cpu",
              .level = kernels.level,
              .has_bf16_dot = kernels.probes.bf16_operations != nullptr,
              .threads = pool.threads()},
             missing, &pool),
      kernels_(kernels),
      tuning_(tuning),
      split_from_rows_(find_split_rows(kernels)) {
  add_row_ops(table_);
  add_linear_op(table_);
  add_rope_ops(table_);
  add_cache_ops(table_);
  add_attention_ops(table_);
  add_encode_op(table_);
}

Result<OpState> CpuDevice::state(std::size_t worker_bytes, std::size_t shared_bytes) const {
  OpState state{.kernels = &kernels_, .pool = pool(), .tuning = tuning_, .split_from_rows = split_from_rows_};
  if (worker_bytes == 0 && shared_bytes == 0) return state;
  const std::lock_guard lock(mutex_);
  const bool fits =
      scratch_ != nullptr && scratch_->worker_bytes >= worker_bytes && scratch_->shared_bytes >= shared_bytes;
  if (!fits) {
    // Powers of two: few sizes are ever made. Pages are committed only when touched.
    Scratch larger;
    larger.worker_bytes =
        std::bit_ceil(std::max({worker_bytes, std::size_t{4096}, scratch_ ? scratch_->worker_bytes : 0}));
    larger.shared_bytes =
        std::bit_ceil(std::max({shared_bytes, std::size_t{4096}, scratch_ ? scratch_->shared_bytes : 0}));
    const auto workers = static_cast<std::size_t>(pool()->threads());
    CORBEL_ASSIGN(larger.memory, allocate_host_memory(larger.shared_bytes + workers * larger.worker_bytes));
    scratch_ = std::make_shared<const Scratch>(std::move(larger));
  }
  state.scratch = scratch_;
  return state;
}

}  // namespace cpu

Result<std::unique_ptr<Device>> make_cpu_device(const DeviceSettings& settings, ThreadPool& pool) {
  std::string level = settings.level;
  if (level.empty()) {
    if (const char* forced = std::getenv("CORBEL_CPU_ISA"); forced != nullptr) level = forced;
  }
  CORBEL_ASSIGN(const cpu::Kernels* kernels, cpu::find_level(level));
  CORBEL_ASSIGN(const cpu::CpuTuning tuning, cpu::read_tuning(settings.tuning));
  return std::unique_ptr<Device>(std::make_unique<cpu::CpuDevice>(*kernels, tuning, settings.missing_ops, pool));
}

std::vector<std::string> cpu_device_levels() {
  std::vector<std::string> names;
  for (const cpu::Kernels& kernels : cpu::usable_levels()) names.emplace_back(kernels.level);
  return names;
}

}  // namespace corbel
