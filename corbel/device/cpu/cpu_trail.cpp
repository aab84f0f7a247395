#include <algorithm>

#include "corbel/device/cpu/cpu_ops.h"

namespace corbel::cpu {

ThreadPool::Range WeightStarts::range(int worker, int threads, int which) const noexcept {
  // Half of a second-level cache at most: what the op at hand still needs stays there.
  constexpr std::int64_t kMostBytes = 256 * 1024;
  if (outputs == 0 || (which == 1 && !gated)) return {};
  std::int64_t unit = total_units * worker / threads;
  int output = 0;
  while (output + 1 < outputs && unit >= units[output]) unit -= units[output++];
  const int weight = output + which;
  const std::int64_t begin = unit * unit_bytes[weight];
  const std::int64_t bytes = std::min(weight_bytes[weight] - begin, gated ? kMostBytes / 2 : kMostBytes);
  return {weights[weight] + begin, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 0))};
}

WeightStarts WeightTrail::step(const std::shared_ptr<WeightStarts>& next, const WeightStarts& own) noexcept {
  if (last != nullptr) *last = own;
  last = next;
  return *next;
}

}  // namespace corbel::cpu
