#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace corbel {

/// What a device has found out about the machine it runs on, by name: sizes of units of work, thresholds. None of
/// it moves a bit of a result, only speed.
using Tuning = std::map<std::string, std::int64_t>;

/// One value of a name, tried.
struct TuningTrial {
  std::string name;
  std::int64_t value = 0;
  double time = 0;  // of the work that the name matters for, as a share of the default's
};

struct TuningReport {
  Tuning tuning;                    // every name's best value
  std::vector<TuningTrial> trials;  // in the order they were made, a name's values together
};

/// Told of each name before it is tried.
using TuningProgress = std::function<void(const std::string& name)>;

}  // namespace corbel
