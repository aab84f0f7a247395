#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/engine/generate.h"

/// Conversations: messages through the model's template into a session, and the answer back.
namespace corbel {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

/// What is said, without what is cached of it.
struct Conversation {
  std::vector<ChatMessage> messages;  // a system message, if any, is the first

  /// Replaces the system message; empty removes it.
  void set_system(const std::string& text);
  /// Forgets all but the system message.
  void reset();
};

/// A conversation on disk, with the settings it was held under.
struct SavedConversation {
  Conversation conversation;
  SamplingOptions sampling;
  std::int64_t max_tokens = 0;
};

/// Writes JSON: the old file or the new one, never half of it.
Result<void> save_conversation(const std::filesystem::path& path, const SavedConversation& saved);
/// Refuses, naming file and field, what save_conversation would not have written.
Result<SavedConversation> load_conversation(const std::filesystem::path& path);

}  // namespace corbel
