#pragma once
#include <functional>
#include <string>

#include "corbel/base/json.h"

namespace corbel::app {

/// All of standard input, at most `max_bytes`; `what` names it in the refusal ("the prompt").
Result<std::string> read_standard_input(std::string_view what, std::size_t max_bytes);

/// Reads JSON objects from standard input, one a line, and writes one line for each: what `answer` gives, or
/// {"error": ...} with the line's number; ASCII only. Written at once when no more input waits, so that a program may
/// talk with the command line by line. Exit code: 1 when a line was no JSON object or lacked what `answer` needs, or
/// output failed.
int answer_json_lines(const std::function<Result<Json>(const JsonFields& line)>& answer);

}  // namespace corbel::app
