#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "corbel/device/cpu/cpu_levels.h"
#include "corbel/device/cpu/cpu_ops.h"

// What the machine can do at best, measured with the level's own instructions and the pool's threads.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kSliceBytes = std::int64_t{1} << 20;
constexpr int kPeakPasses = 3;
constexpr std::int64_t kPeakUnitsPerThread = 4;
constexpr double kPeakSeconds = 0.02;  // of one unit: long against the start of the threads

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// body(unit) for all units, on the pool's threads or on the calling one alone.
template <typename Body>
void spread(ThreadPool& pool, int threads, std::int64_t units, Body&& body) {
  if (threads > 1) {
    pool.parallel_for(units, [&](std::int64_t unit, int) { body(unit); });
  } else {
    for (std::int64_t unit = 0; unit < units; ++unit) body(unit);
  }
}

void measure_reading(const Kernels& kernels, ThreadPool& pool, const LimitSettings& settings, const MemoryBlock& buffer,
                     MachineLimits& limits) {
  const std::int64_t slices = static_cast<std::int64_t>(buffer.bytes()) / kSliceBytes;
  std::atomic<std::uint64_t> seen{0};
  // Written first: memory that was never written is one page of zeros, which the caches hold.
  spread(pool, limits.threads, slices,
         [&](std::int64_t slice) { std::memset(buffer.data() + slice * kSliceBytes, 0x5a, kSliceBytes); });
  for (int pass = 0; pass < settings.passes; ++pass) {
    for (const ReadLoop& loop : kernels.probes.read_loops) {
      const double begin = seconds_now();
      spread(pool, limits.threads, slices, [&](std::int64_t slice) {
        seen.fetch_or(loop.read(buffer.data() + slice * kSliceBytes, kSliceBytes), std::memory_order_relaxed);
      });
      const double bytes_per_s = static_cast<double>(slices * kSliceBytes) / (seconds_now() - begin);
      if (bytes_per_s <= limits.read_bytes_per_s) continue;
      limits.read_bytes_per_s = bytes_per_s;
      limits.read_loop = loop.name;
    }
  }
  CORBEL_CHECK(seen.load() == 0x5a5a5a5a5a5a5a5aU, "the measuring loops read something else than was written");
}

using Operations = std::int64_t (*)(std::int64_t rounds);

/// Operations per second of all threads; 0 without the instruction.
double measure_peak(ThreadPool& pool, int threads, Operations operations) {
  if (operations == nullptr) return 0;
  std::int64_t rounds = 1024;
  double once = 0;
  while (once < kPeakSeconds / 4) {  // also brings the clock up
    rounds *= 2;
    const double begin = seconds_now();
    operations(rounds);
    once = seconds_now() - begin;
  }
  rounds = static_cast<std::int64_t>(static_cast<double>(rounds) * kPeakSeconds / once);
  double best = 0;
  for (int pass = 0; pass < kPeakPasses; ++pass) {
    std::atomic<std::int64_t> done{0};
    const double begin = seconds_now();
    spread(pool, threads, threads * kPeakUnitsPerThread,
           [&](std::int64_t) { done.fetch_add(operations(rounds), std::memory_order_relaxed); });
    best = std::max(best, static_cast<double>(done.load()) / (seconds_now() - begin));
  }
  return best;
}

}  // namespace

Result<MachineLimits> CpuDevice::measure_limits(const LimitSettings& settings) {
  MachineLimits limits;
  limits.threads = settings.threads == 1 ? 1 : pool()->threads();
  limits.buffer_bytes = std::max<std::size_t>(settings.buffer_bytes / kSliceBytes, 1) * kSliceBytes;
  {
    CORBEL_ASSIGN(const MemoryBlock buffer, allocate_host_memory(limits.buffer_bytes));
    measure_reading(kernels_, *pool(), settings, buffer, limits);
  }
  limits.f32_ops_per_s = measure_peak(*pool(), limits.threads, kernels_.probes.f32_operations);
  limits.bf16_ops_per_s =
      std::max(limits.f32_ops_per_s, measure_peak(*pool(), limits.threads, kernels_.probes.bf16_operations));
  limits.int8_ops_per_s = measure_peak(*pool(), limits.threads, kernels_.probes.int8_operations);
  // Tiles are asked for by the threads that use them: the permission is the process's.
  if (const TileProbes tiles = usable_tile_probes(); tiles.enable != nullptr && tiles.enable()) {
    limits.tile_bf16_ops_per_s = measure_peak(*pool(), limits.threads, tiles.bf16_operations);
    limits.tile_int8_ops_per_s = measure_peak(*pool(), limits.threads, tiles.int8_operations);
  }
  return limits;
}

}  // namespace corbel::cpu
