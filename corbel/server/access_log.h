#pragma once
#include <string>

#include "corbel/server/request_record.h"

namespace corbel {

/// A request as one line of JSON, with its newline: time, id, method, path, status, ms, prompt_tokens, answer_tokens,
/// finish, key (the short hash), client_left. Never a word of a prompt or an answer.
std::string access_log_line(const RequestSummary& summary);

}  // namespace corbel
