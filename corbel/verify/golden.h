#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "corbel/engine/step_runner.h"
#include "corbel/format/safetensors.h"
#include "corbel/metrics/compare.h"

/// The tools that prove a port right: goldens recorded from Hugging Face, module by module, and what differs first.
namespace corbel {

/// What Hugging Face answered to one prompt, recorded by tools/golden: outputs of modules under their names, logits,
/// greedy ids. Mapped; the file format is docs/golden_format.md.
class Golden {
 public:
  /// `path` is a golden.safetensors or a folder that holds one.
  static Result<Golden> open(const std::filesystem::path& path);

  struct Values {
    std::span<const float> numbers;
    std::int64_t columns = 0;
  };
  const std::vector<std::int32_t>& prompt() const { return prompt_; }
  const std::vector<std::int32_t>& positions() const { return positions_; }  // rotary position of each prompt token
  const std::vector<std::int32_t>& greedy() const { return greedy_; }
  /// Rows of the prompt that module outputs were kept of; empty: all.
  const std::vector<std::int32_t>& rows() const { return rows_; }
  /// Vocabulary columns that `logits_at_columns` was kept of; empty when all logits were.
  const std::vector<std::int32_t>& columns() const { return columns_; }
  std::optional<Values> find(const std::string& name) const;
  /// "transformers", "torch", "seed", "switches", ...; empty when absent.
  std::string metadata(const std::string& key) const;

 private:
  explicit Golden(SafetensorsFile file) : file_(std::move(file)) {}
  Result<std::vector<std::int32_t>> integers(const std::string& name, bool required) const;
  SafetensorsFile file_;
  std::vector<std::int32_t> prompt_, positions_, greedy_, rows_, columns_;
};

/// One module's output against the golden's.
struct ModuleReport {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  Comparison comparison;
  bool ok = false;
};

struct GoldenReport {
  std::vector<ModuleReport> modules;  // in the order in which they ran
  double bound = 0.0;                 // relative L2 error that every row may have
  std::vector<std::int32_t> greedy;   // what the model said
  bool greedy_checked = false;
  int greedy_equal = 0;  // leading ids that agree
  /// First module beyond the bound; "greedy" when only the ids differ; empty when all is well.
  std::string first_wrong;
  bool passed() const { return first_wrong.empty(); }
};

/// Worst-row relative L2 error that arithmetic explains. f32: 1e-5, about 80 units in the last place: sums of thousands
/// of terms in another order than the reference's. bf16 (activations rounded to 8 bits before every product, keys and
/// values stored in 8 bits): each rounding adds 2^-9 / sqrt(3) rms per row; 6 per layer add as independent errors,
/// times 4 for the gain of a peaked softmax: 4 * 2^-9 * sqrt(6 * layers).
double golden_bound(Strategy strategy, int layers);

/// Prefills the golden's prompt in one step with taps on, compares every module both sides know, then decodes greedily.
/// Greedy ids are compared where arithmetic is f32 (their margins were recorded for it).
Result<GoldenReport> compare_with_golden(const TextModel& model, Device& device, const Golden& golden,
                                         Strategy strategy);

}  // namespace corbel
