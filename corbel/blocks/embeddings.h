#pragma once
#include <string>

#include "corbel/blocks/block.h"
#include "corbel/ops/rows.h"

namespace corbel {

/// Token ids to rows of a table.
struct TokenEmbeddingSpec {
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  double scale = 1.0;  // multiplies every row
  Result<void> validate() const;
};

/// A learned row per absolute position, added to the token's. Source: GPT-2 report, section 2.3.
struct LearnedPositionSpec {
  std::int64_t max_positions = 0;
  std::int64_t hidden = 0;
  Result<void> validate() const;
};

struct EmbeddingImplConfig {};  // one way to run it

EmbeddingImplConfig get_default_impl_config(const TokenEmbeddingSpec&, const DeviceInfo&, Mode,
                                            Strategy = Strategy::balanced);
EmbeddingImplConfig get_default_impl_config(const LearnedPositionSpec&, const DeviceInfo&, Mode,
                                            Strategy = Strategy::balanced);

struct TokenEmbeddingWeights {
  std::string module;
  WeightRef table;  // [vocab, hidden]
  Prepared<Embedding> op;
};
struct LearnedPositionWeights {
  std::string module;
  WeightRef table;  // [max_positions, hidden]
  Prepared<Embedding> op;
  Prepared<Add> add;
};

/// Role: embedding. Loads "<module>.weight".
Result<TokenEmbeddingWeights> make_token_embedding_weights(const TokenEmbeddingSpec&, const WeightContext&);
/// Role: position_embedding.
Result<LearnedPositionWeights> make_learned_position_weights(const LearnedPositionSpec&, const WeightContext&);

/// ids i32 [rows], each below vocab (max_positions); out f32 [rows, hidden].
struct EmbeddingArgs {
  TensorView ids;
  TensorView out;
};

/// Token-wise: both names do the same. Learned positions are added to what out holds.
void prefill_forward(const EmbeddingArgs&, const TokenEmbeddingSpec&, const EmbeddingImplConfig&,
                     const TokenEmbeddingWeights&, RunContext&) noexcept;
void decode_forward(const EmbeddingArgs&, const TokenEmbeddingSpec&, const EmbeddingImplConfig&,
                    const TokenEmbeddingWeights&, RunContext&) noexcept;
void prefill_forward(const EmbeddingArgs&, const LearnedPositionSpec&, const EmbeddingImplConfig&,
                     const LearnedPositionWeights&, RunContext&) noexcept;
void decode_forward(const EmbeddingArgs&, const LearnedPositionSpec&, const EmbeddingImplConfig&,
                    const LearnedPositionWeights&, RunContext&) noexcept;

}  // namespace corbel
