#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/engine/dry_repeats.h"
#include "corbel/engine/random_bits.h"
#include "corbel/engine/sampler_cut.h"
#include "corbel/engine/sampler_history.h"
#include "corbel/engine/sampler_passes.h"
#include "corbel/engine/sampling_options.h"

namespace corbel {

/// What one token is chosen from.
struct SampleInput {
  std::span<const float> logits;          // [vocab] finite
  std::span<const std::int32_t> history;  // prompt and answer so far; ids outside the vocabulary are ignored
  std::int64_t prompt_tokens = 0;         // of history
  const SamplingOptions& options;         // valid
  std::uint64_t position = 0;             // of the token to be chosen, counted from the first token of the prompt
  /// Bit t % 64 of word t / 64: token t may be chosen. Empty: all may; otherwise at least one may, and tokens beyond
  /// the mask may not.
  std::span<const std::uint64_t> allowed;
  /// What DRY holds against tokens (dry_repeats.h), in any order; of a token's the longest counts.
  std::span<const DryRepeat> repeats;
  /// Not to be chosen, unless nothing else may be: stop ids before min_tokens.
  std::span<const std::int32_t> banned_ids;
};

/// Chooses tokens from logits. Filters, their order and their arithmetic are those of transformers' generate(); logits
/// in f32: logit bias, repetition, frequency and presence penalty, DRY, mask and banned ids, temperature, top-k, top-p,
/// min-p, typical, leaving out the likeliest. At equal logits the lower id counts as the likelier one, so that top-k
/// keeps exactly k tokens (transformers keeps all that tie with the k-th).
///
/// Probabilities are integers (mass_of in sampler_passes.h): a filter that removes nothing changes no token, and the
/// bits are the same on every machine. Owns its scratch memory and allocates none after its making; one thread at a
/// time.
/// Source: transformers generation/logits_process.py; Keskar et al. 2019 (repetition), Holtzman et al. 2020 (top-p),
/// Meister et al. 2022 (typical), Nguyen et al. 2024 (min-p); OpenAI's API reference (presence, frequency, bias).
class Sampler {
 public:
  explicit Sampler(std::int64_t vocab);

  std::int32_t sample(const SampleInput& input);

  struct Candidate {
    std::int32_t id;
    double probability;
  };
  /// The tokens that remain and can be drawn, ascending by id, their probabilities adding up to 1. As sample() sees
  /// them at a temperature that is not greedy; valid until the next call.
  std::span<const Candidate> candidates(const SampleInput& input);

 private:
  bool is_allowed(const SampleInput& input, std::int32_t id) const;
  void score(const SampleInput& input);
  void score_block(const SampleInput& input, std::int64_t block);
  void change_scores(const SampleInput& input);
  void set_score(std::int32_t id, float score);

  /// What a filter leaves: scores above `score`, and of those equal to it ids up to `id`.
  struct Cut {
    float score;
    std::int32_t id;
  };
  enum class Weight { one, mass };  // what a token counts where a cut is looked for
  void filter(const SampleInput& input);
  void fill(float least);
  Cut find_cut(float least, std::uint64_t limit, Weight weight);
  void list_bucket(std::int32_t bucket, Weight weight);
  void keep(const Cut& cut);
  void keep_likely(double min_p);
  void keep_typical(double share);
  void leave_out_likeliest(const SampleInput& input);
  float least_of_top_k(std::int64_t count);
  float least_before_tail(double kept) const;
  void add_up() noexcept;
  std::int32_t draw(std::uint64_t word) const;

  float* scores_of(std::size_t block) noexcept { return scores_.data() + block * kLogitBlock; }
  float* masses_of(std::size_t block) noexcept { return masses_.data() + block * kLogitBlock; }

  std::int64_t vocab_;
  float divisor_ = 1.0F;             // the temperature
  std::vector<float> scores_;        // [blocks * 64] after penalties and temperature; -infinity: may not be chosen
  std::vector<float> highest_;       // [blocks] of scores_; where it is -infinity the scores are not set
  std::vector<float> ordered_;       // [blocks] scratch
  float top_ = 0.0F;                 // the highest score
  std::vector<float> masses_;        // [blocks * 64] of what remains; not set where mass_ is 0
  std::vector<std::uint64_t> mass_;  // [blocks]
  std::uint64_t total_ = 0;
  std::vector<std::uint64_t> bucket_weights_;
  ScoreBuckets buckets_{};
  std::vector<RankedToken> ranked_;  // scratch of find_cut
  SamplerCut cut_;
  SamplerHistory history_;
  std::vector<Candidate> candidates_;
};

/// Index of the largest value; of equal ones the first.
std::int32_t argmax(std::span<const float> values) noexcept;

}  // namespace corbel
