#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/chat_completion.h"
#include "corbel/chat/field_names.h"

/// Requests of other APIs, read by making the body of a chat completion of them: one reader, one template, one sampler.
namespace corbel {

/// A chat completion's body while it is made.
struct MadeRequest {
  Json body = {{"messages", Json::array()}};
  FieldNames names;
  std::vector<std::string> warnings;  // of fields that have no place in it

  std::size_t messages() const { return body["messages"].size(); }
  /// Adds a message that was made of what stands at `given`.
  Json& add_message(std::string_view role, Json content, std::string given);
  /// Hands on what means the same in all bodies that ask for an answer.
  void pass_on(const RequestFields& fields);
  /// Puts a variable of the chat template beside those that the client sets.
  void set_variable(std::string_view name, Json value);
};

/// The made body as the engine gets it; refusals and warnings in the words of the API that was asked.
Result<ChatCompletion> read_made(const MadeRequest& made, const ChatModel& model, std::uint64_t seed);

/// A text of a list of parts: of one part its text, of several a list of a chat completion's parts.
Json text_content(std::vector<std::string> parts);

}  // namespace corbel
