#include <simdjson.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/tokenizer_json.h"
#include "corbel/text/word_level_model.h"
#include "corbel/text/word_piece_model.h"

namespace corbel {

Result<std::unique_ptr<TokenModel>> read_word_piece(const simdjson::dom::object& model, const ModelContext& context) {
  CORBEL_ASSIGN(const Json small, model_settings(model, context.source));
  const JsonFields fields(small, context.source, "model");
  CORBEL_ASSIGN(const simdjson::dom::object vocab, require_object(model, "vocab", context.source));
  CORBEL_ASSIGN(Vocabulary vocabulary, read_vocabulary(vocab, context.source, "model.vocab"));
  WordPieceModel::Options options;
  CORBEL_ASSIGN(options.continuing_prefix, fields.require_string("continuing_subword_prefix"));
  CORBEL_ASSIGN(const std::int64_t most,
                fields.require_int("max_input_chars_per_word", 0, std::numeric_limits<std::int64_t>::max()));
  options.max_word_chars = static_cast<std::uint64_t>(most);
  // A vocabulary without its unknown token is in order as long as no text needs it.
  CORBEL_ASSIGN(const std::string unknown, fields.require_string("unk_token"));
  options.unknown_id = vocabulary.find(unknown);
  auto made = WordPieceModel::make(std::move(vocabulary), std::move(options));
  if (!made) return forward_failure(made, cat(context.source, ": model"));
  return std::unique_ptr<TokenModel>(*std::move(made));
}

Result<std::unique_ptr<TokenModel>> read_word_level(const simdjson::dom::object& model, const ModelContext& context) {
  CORBEL_ASSIGN(const Json small, model_settings(model, context.source));
  const JsonFields fields(small, context.source, "model");
  CORBEL_ASSIGN(const simdjson::dom::object vocab, require_object(model, "vocab", context.source));
  CORBEL_ASSIGN(Vocabulary vocabulary, read_vocabulary(vocab, context.source, "model.vocab"));
  CORBEL_ASSIGN(const std::string unknown, fields.require_string("unk_token"));
  const std::int32_t unknown_id = vocabulary.find(unknown);
  auto made = WordLevelModel::make(std::move(vocabulary), unknown_id);
  if (!made) return forward_failure(made, cat(context.source, ": model"));
  return std::unique_ptr<TokenModel>(*std::move(made));
}

}  // namespace corbel
