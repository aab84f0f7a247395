#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "corbel/engine/sampling_options.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// A token that would make a repetition longer: the newest `tokens` tokens of the text stood earlier in it, and it came
/// next.
struct DryRepeat {
  std::int32_t id = 0;
  std::int64_t tokens = 0;
};

/// Finds what DRY ("don't repeat yourself") holds against tokens: for each, the longest end of the text that stood
/// earlier with it behind. No repetition goes on over a sequence breaker: a token in whose text one ends. One answer's;
/// the tokenizer outlives it.
/// Source: p-e-w, "DRY: A modern repetition penalty" (text-generation-webui, pull request 5677); llama.cpp
/// src/llama-sampling.cpp.
class DryRepeats {
 public:
  /// For texts of up to so many tokens; takes its memory now. Longer ones take more.
  DryRepeats(const Tokenizer& tokenizer, const SamplingOptions& options, std::int64_t tokens);

  /// Of all repetitions of at least dry_allowed_length tokens, in no order, a token perhaps several times. `text` is
  /// that of the call before and what came after it. Valid until the next call.
  std::span<const DryRepeat> find(std::span<const std::int32_t> text);

 private:
  bool ends_breaker(std::int32_t id);

  StreamDecoder decoder_;
  std::vector<std::string> breakers_;
  std::size_t longest_breaker_ = 0;
  std::int64_t window_;  // 0: all
  std::int64_t allowed_;
  std::vector<std::uint8_t> breaks_;   // per token of the text
  std::string tail_;                   // the text's last bytes
  std::vector<std::int32_t> lengths_;  // scratch of find(): what the text's end and its places have in common
  std::vector<DryRepeat> repeats_;
};

}  // namespace corbel
