#pragma once
#include "corbel/base/json.h"
#include "corbel/engine/answer_text.h"
#include "corbel/engine/sampler.h"

namespace corbel {

/// An object with every option under its own name. Reading it back gives the same options.
Json sampling_json(const SamplingOptions& options);
/// Refused: a field that is no option, naming it (what asked for it would be dropped in silence); a wrong type; values
/// out of range. An option that is not there keeps its default.
Result<SamplingOptions> read_sampling(const JsonFields& fields);

/// The same for what ends an answer.
Json limits_json(const AnswerLimits& limits);
Result<AnswerLimits> read_limits(const JsonFields& fields);

/// Refuses an object with any other field than `known`.
Result<void> check_known_fields(const JsonFields& fields, std::span<const std::string_view> known);

}  // namespace corbel
