#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "corbel/chat/chat_model.h"
#include "corbel/engine/embedding_defaults.h"
#include "corbel/engine/run_identity.h"
#include "corbel/server/engine_thread.h"

namespace corbel {

/// A model that answers. What it points to lives as long as it does.
struct ServedModel {
  std::string name;                  // as requests name it
  std::string profile;               // numerics: the fingerprint of answers
  std::string kind;                  // "artifact", ...: of its package
  std::vector<std::string> formats;  // of its weights, the largest part first
  std::int64_t context_tokens = 0;
  std::int64_t input_tokens = 0;  // most of a prompt, where the model says so; 0: the context's
  std::int64_t created_unix = 0;
  std::int64_t weight_bytes = 0;
  std::int64_t memory_bytes = 0;  // weights, cache pages and scratch
  const TextModelInfo* info = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatModel* chat = nullptr;
  EngineThread* engine = nullptr;
  std::function<Result<RunIdentity>()> identify;         // for receipts; any thread
  std::function<Result<EmbeddingDefaults>()> embedding;  // how its texts become vectors; any thread
};

/// A model that has been opened: owns everything that `served` points to.
class OpenedModel {
 public:
  virtual ~OpenedModel() = default;
  ServedModel served;
  /// Asks the shelf for memory beyond served.memory_bytes, which it sets. Any thread, while somebody holds the model.
  std::function<Result<void>(std::int64_t bytes)> reserve;
};

/// Keeps a model where it is; any thread may give it back.
using ModelLease = std::shared_ptr<const ServedModel>;

}  // namespace corbel
