#pragma once
#include <string>
#include <string_view>

#include "corbel/base/json.h"

/// Conversations of OpenAI's shape, made into what chat templates expect.
namespace corbel {

/// Refuses what is no conversation, naming the message: an array of objects with a "role" and a "content" that is a
/// string, null or an array of parts with a "type".
Result<void> check_messages(const Json& messages);
/// Refuses what OpenAI's API does besides: roles that it does not have, a result of a tool that names no call.
/// Templates may know more; requests are held to this (calls: history_calls.h).
Result<void> check_message_fields(const Json& messages);

/// Under "reasoning_content" and "thinking", whatever of "reasoning_content", "thinking" and "reasoning" a message has:
/// templates read the one or the other.
void spread_reasoning(Json& messages);

/// Arguments of tool calls that are JSON text of an object become that object.
void arguments_to_objects(Json& messages);
/// Arguments of tool calls that are objects become JSON text; false when there are none.
bool arguments_to_text(Json& messages);

/// A content of null, as answers with calls have it, becomes the empty text; false when there is none.
bool null_to_text(Json& messages);

/// Parts of text become one string. Refuses parts of other types, naming the message.
Result<void> parts_to_text(Json& messages);
/// Strings become one part of text each.
void text_to_parts(Json& messages);

/// Messages of the role "developer" become those of "system", its older name.
void developer_to_system(Json& messages);

/// Adds `more` to the text of the last message, an assistant's. Refuses, naming it, a last message of another role,
/// with calls, or without a text.
Result<void> append_to_last_text(Json& messages, std::string_view more);

/// The text of a first system message; empty when there is none.
std::string system_text(const Json& messages);
/// Puts a first system message's text in front of the first user message's; false when one of the two is missing.
bool fold_system(Json& messages);

}  // namespace corbel
