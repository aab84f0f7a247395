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
  double bound = 0.0;  // relative L2 error that every row may have
  bool ok = false;
};

struct GoldenReport {
  std::vector<ModuleReport> modules;  // in the order in which they ran
  double bound = 0.0;                 // the largest one of all modules
  std::vector<std::int32_t> greedy;   // what the model said
  bool greedy_checked = false;
  int greedy_equal = 0;  // leading ids that agree
  /// The same with rotary scalings fixed at the golden's length, where the golden has that: leading ids that agree.
  int frozen_equal = 0;
  /// First module beyond the bound; "greedy" when prefill is right and decoding is not: other ids, or the same with
  /// other logits behind the last one. Empty when all is well.
  std::string first_wrong;
  bool passed() const { return first_wrong.empty(); }
  double worst_error() const;
};

/// Which roundings to bf16 a run makes that the recording did not.
struct Roundings {
  bool products = false;    // activations, before every product with a weight: 4 times per layer
  bool cache = false;       // a bf16 cache: keys, values, queries and softmax weights: 4 per layer
  bool int8_cache = false;  // keys and values: steps of the largest / 127; with a largest of 3 rms, 4.4 units each
  bool any() const { return products || cache || int8_cache; }
};

/// Worst-row relative L2 error that arithmetic explains in a model of width `hidden`, behind so many roundings to bf16.
///
/// None: 1e-5, about 80 units in the last place of f32: sums of thousands of terms in another order, both sides.
/// Otherwise gain * spread * unit * sqrt(roundings), where
///   unit    0.4 * 2^-8: rms of a rounding to 8 significant bits, relative to the row: a uniform error of at most half
///   a
///           unit in the last place has rms 2^-8 / sqrt(3) of its binade's floor, which is 0.7 of the row's rms
///   sqrt    roundings are independent, and a residual stream carries each one on
///   gain    4: an error e in a query or key moves a score s by s * e; with scores up to 8 and a weight p, the output
///           moves by p (1 - p) <= 1/4 of that, times the distance of two values, twice their size
///   spread  1 + 16 / sqrt(hidden): rms against the worst of some hundred rows. A row of few numbers may nearly cancel
///           and then carries the error of what cancelled; the 16 covers the tiny goldens
/// Measured over all goldens, largest error / (unit * sqrt(roundings)): width 32: 12.7 (allowed 15.3), 48: 6.7 (13.2),
/// 896 to 4096: 4.3 (6.1 to 5).
double golden_bound(int roundings, std::int64_t hidden);

/// A checkpoint to compare, and how.
struct VerifyRequest {
  std::filesystem::path folder;  // or artifact or GGUF; only config.json when the golden's weights are seeded
  std::span<const ModelFamily> families;
  ModelOptions options = {.strategy = Strategy::accuracy};
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
