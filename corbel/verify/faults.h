#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/format/tensor_source.h"
#include "corbel/verify/faulty_device.h"
#include "corbel/verify/golden.h"

/// Mistakes that people make when they bring a model up, made on purpose: each must be found by the golden gate, and in
/// the module where it sits. Whoever doubts a gate that says "all is well" turns one on.
namespace corbel {

/// What a fault needs to know to say whether it can be seen.
struct FaultScene {
  const Json& config;
  const TensorSource& tensors;
  const Golden& golden;
};

/// One mistake. It edits the config before the model is made, the weights on their way in, or the device's op table.
struct Fault {
  std::string_view name;  // "rope_base"
  std::string_view what;  // "rope_theta is twice what it should be"
  /// Modules, in running order, where it comes to light: the first of them that the golden holds must be the first that
  /// is wrong. "{last}" stands for the last layer's index, "{window}" for the first layer with a sliding window;
  /// "greedy" for the greedy ids.
  std::vector<std::string_view> shows_in;
  /// Null: with every model.
  bool (*visible)(const FaultScene& scene) = nullptr;
  void (*edit_config)(Json& config) = nullptr;
  std::shared_ptr<const TensorSource> (*edit_weights)(std::shared_ptr<const TensorSource> tensors) = nullptr;
  void (*edit_ops)(FaultyDevice& device) = nullptr;
};

/// The table of all faults.
std::span<const Fault> all_faults();
/// Refused with the known names.
Result<const Fault*> find_fault(std::string_view name);

bool fault_is_visible(const Fault& fault, const FaultScene& scene);
/// The first module that must be wrong; empty when the golden holds none of those where the fault shows.
std::string expected_first_wrong(const Fault& fault, const FaultScene& scene);

}  // namespace corbel
