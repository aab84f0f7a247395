#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "corbel/engine/dry_repeats.h"
#include "corbel/engine/sampling_options.h"

namespace corbel {

/// Changes of single logits: bias and penalties, for the few tokens they name. Owns its scratch memory.
class SamplerHistory {
 public:
  explicit SamplerHistory(std::int64_t vocab) : marks_(static_cast<std::size_t>(vocab)) {
    changes_.reserve(marks_.size());
  }

  struct Change {
    std::int32_t id = 0;
    float bias = 0.0F;
    std::uint32_t in_answer = 0;  // how often
    bool is_repeated = false;     // in prompt or answer
    std::int64_t continues = 0;   // tokens of the longest repetition that it would make longer
  };
  /// Every token that `options` change after `history`, whose first `prompt_tokens` are the prompt; each once, ids
  /// outside the vocabulary left out. Valid until the next call.
  std::span<const Change> changes(std::span<const std::int32_t> history, std::int64_t prompt_tokens,
                                  std::span<const DryRepeat> repeats, const SamplingOptions& options);

  /// The logit with its bias and penalties, in f32 and in this order: bias, repetition, frequency, presence, DRY.
  static float changed(float logit, const Change& change, const SamplingOptions& options) noexcept;

 private:
  Change* change_of(std::int32_t id);

  struct Mark {
    std::uint32_t round = 0;  // the call that named the token last,
    std::uint32_t index = 0;  // and where in changes_ it stands
  };
  std::vector<Mark> marks_;  // [vocab]
  std::uint32_t round_ = 0;
  std::vector<Change> changes_;
};

}  // namespace corbel
