#pragma once
#include <string>

#include "apps/model_setup.h"
#include "corbel/engine/generate.h"

namespace corbel::app {

/// "prompt 23 tokens (12 new, 11 cached) at 812 tok/s | answer 40 tokens at 55.1 tok/s | first token 31 ms | peak
/// memory 71.2 MB"
std::string figures_line(const GenerateFigures& figures);

/// The answer as one line of JSON: text, finish_reason, figures, and the receipt that lets it be repeated.
std::string answer_json(const GenerateResult& result, const GenerateOptions& options, const OpenRunner& open);

}  // namespace corbel::app
