#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/format/safetensors.h"

/// The tools that prove a port right: goldens recorded from Hugging Face, module by module, and what differs first.
namespace corbel {

/// What Hugging Face answered to one prompt, recorded by tools/golden: outputs of modules under their names, logits,
/// greedy ids. Mapped; the file format is docs/golden_format.md.
class Golden {
 public:
  /// `path` is a golden.safetensors or a folder that holds one. Refused: a file that is no golden, inputs that are
  /// missing or make no sense, more than 65,536 tokens, outputs that are no F32 of at least one number.
  static Result<Golden> open(const std::filesystem::path& path);

  struct Values {
    std::span<const float> numbers;
    std::int64_t columns = 0;
  };
  const std::vector<std::int32_t>& prompt() const { return prompt_; }
  const std::vector<std::int32_t>& positions() const { return positions_; }  // rotary position of each prompt token
  const std::vector<std::int32_t>& greedy() const { return greedy_; }
  /// The greedy ids when length-dependent rotary scalings go by rope_length() in every step; empty when not recorded.
  const std::vector<std::int32_t>& greedy_frozen() const { return greedy_frozen_; }
  std::int32_t rope_length() const { return rope_length_; }
  /// Rows of the prompt that module outputs were kept of; empty: all.
  const std::vector<std::int32_t>& rows() const { return rows_; }
  /// Vocabulary columns that `logits_at_columns` was kept of; empty when all logits were.
  const std::vector<std::int32_t>& columns() const { return columns_; }
  std::optional<Values> find(const std::string& name) const;
  /// Whether a module's output can be compared. "lm_head" also goes by the name "logits" or "logits_at_columns".
  bool holds(const std::string& module) const;
  /// "transformers", "torch", "seed", "switches", ...; empty when absent.
  std::string metadata(const std::string& key) const;
  /// The file, for messages.
  std::string description() const { return file_.description(); }

 private:
  explicit Golden(SafetensorsFile file) : file_(std::move(file)) {}
  Result<void> read_inputs();
  Result<void> read_rope_length();
  Result<void> check_inputs() const;
  Result<void> check_outputs() const;
  Result<std::vector<std::int32_t>> integers(const std::string& name, bool required) const;
  SafetensorsFile file_;
  std::vector<std::int32_t> prompt_, positions_, greedy_, greedy_frozen_, rows_, columns_;
  std::int32_t rope_length_ = 0;
};

}  // namespace corbel
