#pragma once
#include <optional>
#include <string>
#include <vector>

#include "corbel/chat/chat_model.h"
#include "corbel/chat/request_fields.h"
#include "corbel/engine/engine.h"
#include "corbel/engine/grammar_json.h"

namespace corbel {

/// What requests for text say alike, whether by messages or by a prompt.
struct AnswerRequest {
  std::string model;                           // as the request names it; empty: it does not
  EngineRequest request;                       // without callbacks
  std::optional<ConstraintSource> constraint;  // what the request's constraint was compiled from
  bool wants_stream = false;
  bool wants_usage = false;  // streaming: a last piece with the usage
  bool wants_receipt = false;
  std::vector<std::string> warnings;  // what was accepted and changes nothing, or less than it seems
};

/// Refusals begin with the field's path in quotation marks.
Failure refuse_field(std::string_view field, std::string_view why);

/// Refuses a prompt that both opens an answer and ends within the last message.
Result<void> check_continuation(const RequestFields& fields);

/// Sampling, penalties, bias, n: what is left open comes from the model's defaults. `seed` where the request samples
/// and names none.
Result<void> read_sampling_fields(const RequestFields& fields, const ChatModel& model, std::uint64_t seed,
                                  EngineRequest& request);

/// What ends an answer (its most tokens excepted, which were read before), priority and salt.
Result<void> read_limit_fields(const RequestFields& fields, const ChatModel& model, EngineRequest& request);

/// model, stream, stream_options, prompt_logprobs, return_receipt.
Result<void> read_delivery_fields(const RequestFields& fields, AnswerRequest& wanted);

/// Compiles what an answer must look like; `path` names the fields that ask for it.
Result<void> compile_constraint(const RequestFields& fields, const ChatModel& model, const std::string& path,
                                GrammarSource source, AnswerRequest& wanted);

}  // namespace corbel
