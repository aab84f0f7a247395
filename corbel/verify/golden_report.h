#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "corbel/metrics/compare.h"
#include "corbel/model/loader.h"
#include "corbel/verify/golden.h"

namespace corbel {

struct Fault;

/// One module's output against the golden's.
struct ModuleReport {
  std::string module;  // "model.layers.0.self_attn.q_proj", the name in Hugging Face
  Comparison comparison;
  bool ok = false;
};

struct GoldenReport {
  std::vector<ModuleReport> modules;  // in the order in which they ran
  double bound = 0.0;                 // relative L2 error that every row may have
  std::vector<std::int32_t> greedy;   // what the model said
  bool greedy_checked = false;
  int greedy_equal = 0;  // leading ids that agree
  /// The same with rotary scalings fixed at the golden's length, where the golden has that: leading ids that agree.
  int frozen_equal = 0;
  /// First module beyond the bound; "greedy" when only the ids differ; empty when all is well.
  std::string first_wrong;
  bool passed() const { return first_wrong.empty(); }
  double worst_error() const;
};

/// Which roundings a run makes that the recording did not.
struct Roundings {
  bool products = false;  // activations are rounded to bf16 before every product with a weight
  bool cache = false;     // keys and values are rounded to bf16 in the cache
};

/// Worst-row relative L2 error that arithmetic explains.
double golden_bound(const Roundings& roundings, int layers);

/// A checkpoint to compare, and how.
struct VerifyRequest {
  std::filesystem::path folder;  // Hugging Face folder; only config.json when the golden's weights are seeded
  std::span<const ModelFamily> families;
  Strategy strategy = Strategy::accuracy;
  const Fault* fault = nullptr;  // made on purpose; null: none
};

/// Makes the model of the folder on `device`, prefills the golden's prompt in one step with taps on, compares every
/// module both sides know, then decodes greedily. Greedy ids are compared where arithmetic is f32 (their margins were
/// recorded for it). An error, and no report: the model cannot be made, or the golden is not one of this model.
Result<GoldenReport> verify_folder(const VerifyRequest& request, const Golden& golden, Device& device);

/// The same for a model that exists.
Result<GoldenReport> compare_with_golden(const TextModel& model, Device& device, const Golden& golden,
                                         const Roundings& roundings);

/// The faults that this folder and golden can show, with the module that each must be found in.
struct VisibleFault {
  const Fault* fault = nullptr;
  std::string first_wrong;
};
Result<std::vector<VisibleFault>> visible_faults(const std::filesystem::path& folder, const Golden& golden);

}  // namespace corbel
