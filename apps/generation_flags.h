#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "corbel/engine/generate.h"
#include "corbel/model/loader.h"

namespace corbel::app {

/// What the flags say about an answer; what they leave open comes from the model's own defaults.
struct GenerationFlags {
  std::optional<double> temperature, top_p, min_p, typical_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<double> xtc_probability, xtc_threshold, dry_multiplier, dry_base;
  std::optional<std::int64_t> dry_allowed_length, dry_penalty_last_n;
  std::optional<std::int64_t> top_k, penalty_window, seed, max_tokens, min_tokens, context;
  std::vector<std::string> stop, logit_bias;
  std::string system;
  std::string on_full = "stop";
  bool ignore_eos = false;
  bool raw = false;
  bool json = false;

  void add_flags(CommandLine& line);
  /// Refuses values out of range, before anything is loaded.
  Result<void> validate() const;
  /// With the model's defaults where a flag is not given. Without --temperature a model samples only when its
  /// generation_config.json says "do_sample"; without --seed every process draws its own, told in the receipt.
  GenerateOptions options(const GenerationDefaults& defaults) const;
};

}  // namespace corbel::app
