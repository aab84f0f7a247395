#pragma once
#include <cstdint>

#include "corbel/base/thread_pool.h"

namespace corbel {

/// body(unit) for all units, on the pool's threads; without a pool on this one, ascending. Who computes a unit must not
/// change its bits.
template <typename Body>
void for_units(ThreadPool* pool, std::int64_t units, Body&& body) {
  if (pool != nullptr) {
    pool->parallel_for(units, [&](std::int64_t unit, int) { body(unit); });
    return;
  }
  for (std::int64_t unit = 0; unit < units; ++unit) body(unit);
}

}  // namespace corbel
