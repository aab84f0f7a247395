#pragma once
#include <map>
#include <optional>
#include <string>

#include "corbel/base/named_files.h"
#include "corbel/engine/embed.h"

namespace corbel {

/// What a model's folder says about embedding, in the files of sentence-transformers.
struct EmbeddingDefaults {
  std::optional<Pooling> pooling;                           // empty: the folder says nothing
  std::optional<bool> normalize;                            // whether modules.json has a Normalize; empty without one
  bool includes_prompt = true;                              // the mean is over the prompt's tokens, too
  std::int64_t max_tokens = 0;                              // sentence_bert_config.json; 0: it says nothing
  std::map<std::string, std::string, std::less<>> prompts;  // texts to put in front, by name
  std::string default_prompt;                               // a name; empty: none
};

/// Reads modules.json, the pooling's config.json, sentence_bert_config.json and config_sentence_transformers.json; all
/// of them may be absent. Refused by name: other modules (a Dense layer would change the vectors), other poolings, a
/// default prompt that is not there.
/// Source: sentence-transformers, models/Pooling.py and SentenceTransformer.py.
Result<EmbeddingDefaults> read_embedding_defaults(const NamedFiles& files);

}  // namespace corbel
