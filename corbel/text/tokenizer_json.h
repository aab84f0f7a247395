#pragma once
#include <simdjson.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"
#include "corbel/text/token_model.h"
#include "corbel/text/tokenizer.h"

/// What readers of tokenizer files share. For the sources of this folder only.
namespace corbel {

/// A parsed document and the memory it lives in. Refuses bad syntax, invalid UTF-8, nesting beyond kMaxDepth.
class ParsedJson {
 public:
  static constexpr std::size_t kMaxDepth = 64;
  Result<void> parse(std::string_view bytes, const std::string& source);
  const simdjson::dom::object& object() const { return object_; }

 private:
  simdjson::dom::parser parser_;
  simdjson::padded_string padded_;
  simdjson::dom::object object_;
};

/// A small part of the document in the form that stages read their fields from. Depth is bounded by the parser.
Result<Json> to_json(simdjson::dom::element value, const std::string& source);

Failure wrong_type(const std::string& source, std::string_view field, std::string_view expected,
                   simdjson::dom::element found);

/// Tokens and ids of one JSON object.
Result<Vocabulary> read_vocabulary(const simdjson::dom::object& object, const std::string& source,
                                   std::string_view field);

/// The part of a "model" under `key`; absence and other types are refused.
Result<simdjson::dom::object> require_object(const simdjson::dom::object& model, std::string_view key,
                                             const std::string& source);
Result<simdjson::dom::array> require_array(const simdjson::dom::object& model, std::string_view key,
                                           const std::string& source);

/// The fields of a "model" other than its vocabulary and merges.
Result<Json> model_settings(const simdjson::dom::object& model, const std::string& source);

/// One entry of "added_tokens" (or of "added_tokens_decoder", with its id put in).
Result<AddedToken> read_added_token(const JsonFields& fields);

/// The descriptions of the stages around the model, each an object or null.
struct Stages {
  Json normalizer;
  Json pre_tokenizer;
  Json post_processor;
  Json decoder;
  Json added_tokens;  // an array or null
};

struct ModelContext {
  std::string source;
  bool bytes_as_chars = false;   // the pre-tokenizer makes bytes the alphabet
  FlatReader* tables = nullptr;  // what was built before (tokenizer_tables.h), instead of vocabulary and merges
};

/// The reader of one kind of model: a row of the table in tokenizer_json.cpp.
Result<std::unique_ptr<TokenModel>> read_bpe(const simdjson::dom::object& model, const ModelContext& context);
Result<std::unique_ptr<TokenModel>> read_unigram(const simdjson::dom::object& model, const ModelContext& context);
Result<std::unique_ptr<TokenModel>> read_word_piece(const simdjson::dom::object& model, const ModelContext& context);
Result<std::unique_ptr<TokenModel>> read_word_level(const simdjson::dom::object& model, const ModelContext& context);

using MakeModel = std::function<Result<std::unique_ptr<TokenModel>>(const ModelContext& context)>;

Result<Tokenizer> make_tokenizer(const Stages& stages, const std::string& source, const MakeModel& make_model);

/// From a tokenizer.json; with `tables`, one whose vocabulary and merges were left out because they stand there.
Result<Tokenizer> read_tokenizer_json(std::string_view bytes, const std::string& source, FlatReader* tables);

}  // namespace corbel
