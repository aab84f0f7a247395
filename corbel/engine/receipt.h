#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/engine/engine.h"
#include "corbel/engine/grammar_json.h"
#include "corbel/engine/run_identity.h"

namespace corbel {

inline constexpr std::string_view kReceiptFormat = "corbel.receipt.v1";

/// What determines an answer beside the run's identity.
struct ReceiptRequest {
  std::vector<std::int32_t> prompt;
  SamplingOptions sampling;
  AnswerLimits limits;
  OnFull on_full = OnFull::stop;
  std::int64_t keep_tokens = 0;                // on_full slide
  std::int64_t context_tokens = 0;             // where an answer ends, or begins to slide
  bool constrained = false;                    // to a grammar
  std::optional<ConstraintSource> constraint;  // that grammar; empty: whoever asked did not say it
};

/// Of a request to an engine: the answer number `choice`. Whoever compiled a constraint adds what it was made from.
ReceiptRequest receipt_request(const EngineRequest& request, std::uint32_t choice, std::int64_t context_tokens);
/// Of a call of generate().
ReceiptRequest receipt_request(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                               std::int64_t context_tokens);

/// Says of one answer what it came from, so that anybody with the same model can make it again, byte for byte
/// (`corbel replay`). Where the identities are equal, equal requests have equal answers.
struct Receipt {
  std::string corbel;  // the version that answered: "0.1.0"
  std::string model;   // where the model was, for people and as replay's default; may be empty
  RunIdentity run;
  ReceiptRequest request;
  std::vector<std::int32_t> ids;  // of the answer, a stop id included
  std::string text;
  FinishReason finish = FinishReason::stop;
};

/// `corbel` and `model` stay the caller's to fill in.
Receipt make_receipt(const RunIdentity& run, ReceiptRequest request, const GenerateResult& result);

/// One object, without times or places but `model`: the same answer has the same receipt.
Json receipt_json(const Receipt& receipt);

/// Refused, naming the field: another format, fields that are not known (options of a later version would be dropped
/// in silence), ids that their hash does not fit, options out of range. `source` names the receipt in messages.
Result<Receipt> read_receipt(const Json& json, const std::string& source);

/// The request that gives an engine's generate() the same answer; its runner has the receipt's context_tokens. An
/// answer that was cut off from outside ends where it did. Refused: a constraint that the receipt does not hold, or
/// that does not compile.
Result<EngineRequest> replay_request(const Receipt& receipt, const Tokenizer& tokenizer);

/// What differs first between the answer of the receipt and the one that came now: "token 17 is 42 (\" a\"), the
/// receipt has 43 (\" b\")"; empty when they are the same bytes.
std::string first_difference(const Receipt& receipt, const GenerateResult& now, const Tokenizer& tokenizer);

}  // namespace corbel
