#include "corbel/text/tokenizer_json.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/byte_spelling_model.h"
#include "corbel/text/tokenizer_parts.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string_view type_name(element value) {
  switch (value.type()) {
    case element_type::ARRAY: return "an array";
    case element_type::OBJECT: return "an object";
    case element_type::STRING: return "a string";
    case element_type::BOOL: return "true or false";
    case element_type::NULL_VALUE: return "null";
    default: return "a number";
  }
}

/// The part under `key`, null where it is absent or null; anything but `type` is refused.
Result<Json> json_part(const simdjson::dom::object& top, std::string_view key, element_type type,
                       const std::string& source) {
  element found;
  if (top[key].get(found) != simdjson::SUCCESS || found.is_null()) return Json(nullptr);
  if (found.type() != type) {
    return wrong_type(source, key, type == element_type::ARRAY ? "an array" : "an object or null", found);
  }
  return to_json(found, source);
}

struct ModelKind {
  std::string_view type;
  Result<std::unique_ptr<TokenModel>> (*read)(const simdjson::dom::object& model, const ModelContext& context);
  bool spells_bytes;                      // knows itself what to do where bytes are the alphabet
  std::array<std::string_view, 3> marks;  // a file without "type" that has all these fields means this kind
};
// In the order in which files without "type" are asked: word pieces have all that whole words have, and more.
constexpr ModelKind kModels[] = {
    {"BPE", read_bpe, true, {"vocab", "merges"}},
    {"WordPiece", read_word_piece, false, {"unk_token", "continuing_subword_prefix", "max_input_chars_per_word"}},
    {"WordLevel", read_word_level, false, {"vocab", "unk_token"}},
    {"Unigram", read_unigram, false, {"vocab"}},
};

Result<const ModelKind*> find_model_kind(const simdjson::dom::object& model, const std::string& source) {
  const auto has = [&](std::string_view key) {
    element ignored;
    return key.empty() || model[key].get(ignored) == simdjson::SUCCESS;
  };
  element named;
  if (model["type"].get(named) != simdjson::SUCCESS) {
    for (const ModelKind& kind : kModels) {
      if (std::ranges::all_of(kind.marks, has)) return &kind;
    }
    return fail(Code::bad_file, cat(source, ": \"model.vocab\" is missing, and so is \"model.type\""));
  }
  std::string_view type;
  if (named.get(type) != simdjson::SUCCESS) return wrong_type(source, "model.type", "a string", named);
  std::string known;
  for (const ModelKind& kind : kModels) {
    if (kind.type == type) return &kind;
    known += cat(known.empty() ? "\"" : ", \"", kind.type, "\"");
  }
  return fail(Code::unsupported,
              cat(source, ": \"model.type\" is \"", type, "\", which is not supported; known: ", known));
}

Result<std::unique_ptr<TokenModel>> read_model(const simdjson::dom::object& top, const ModelContext& context) {
  simdjson::dom::object model;
  if (top["model"].get(model) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(context.source, ": \"model\" must be an object"));
  }
  CORBEL_ASSIGN(const ModelKind* const kind, find_model_kind(model, context.source));
  CORBEL_ASSIGN(std::unique_ptr<TokenModel> made, kind->read(model, context));
  if (!context.bytes_as_chars || kind->spells_bytes) return made;
  return std::unique_ptr<TokenModel>(std::make_unique<ByteSpellingModel>(std::move(made)));
}

}  // namespace

Failure wrong_type(const std::string& source, std::string_view field, std::string_view expected, element found) {
  return fail(Code::bad_file, cat(source, ": \"", field, "\" must be ", expected, ", found ", type_name(found)));
}

Result<Json> to_json(element value, const std::string& source) {
  switch (value.type()) {
    case element_type::OBJECT: {
      Json object = Json::object();
      for (const auto& [key, part] : simdjson::dom::object(value)) {
        CORBEL_ASSIGN(Json converted, to_json(part, source));
        if (!object.emplace(std::string(key), std::move(converted)).second) {
          return fail(Code::bad_file, cat(source, ": the key \"", key, "\" stands twice in one object"));
        }
      }
      return object;
    }
    case element_type::ARRAY: {
      Json array = Json::array();
      for (const element part : simdjson::dom::array(value)) {
        CORBEL_ASSIGN(Json converted, to_json(part, source));
        array.push_back(std::move(converted));
      }
      return array;
    }
    case element_type::STRING: return Json(std::string(std::string_view(value)));
    case element_type::BOOL: return Json(bool(value));
    case element_type::INT64: return Json(std::int64_t(value));
    case element_type::UINT64: return Json(std::uint64_t(value));
    case element_type::DOUBLE: return Json(double(value));
    default: return Json(nullptr);
  }
}

Result<simdjson::dom::object> require_object(const simdjson::dom::object& model, std::string_view key,
                                             const std::string& source) {
  element found;
  if (model[key].get(found) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(source, ": \"model.", key, "\" is missing; it must be an object"));
  }
  simdjson::dom::object object;
  if (found.get(object) != simdjson::SUCCESS) return wrong_type(source, cat("model.", key), "an object", found);
  return object;
}

Result<simdjson::dom::array> require_array(const simdjson::dom::object& model, std::string_view key,
                                           const std::string& source) {
  element found;
  if (model[key].get(found) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(source, ": \"model.", key, "\" is missing; it must be an array"));
  }
  simdjson::dom::array array;
  if (found.get(array) != simdjson::SUCCESS) return wrong_type(source, cat("model.", key), "an array", found);
  return array;
}

Result<Json> model_settings(const simdjson::dom::object& model, const std::string& source) {
  Json settings = Json::object();
  for (const auto& [key, value] : model) {
    if (key == "vocab" || key == "merges") continue;
    CORBEL_ASSIGN(settings[std::string(key)], to_json(value, source));
  }
  return settings;
}

Result<Vocabulary> read_vocabulary(const simdjson::dom::object& object, const std::string& source,
                                   std::string_view field) {
  Vocabulary vocabulary;
  vocabulary.reserve(object.size(), object.size() * 8);
  for (const auto& [token, value] : object) {
    std::int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS) {
      return wrong_type(source, cat(field, ".", token.substr(0, 80)), "an integer id", value);
    }
    if (auto added = vocabulary.add(token, id, field); !added) return forward_failure(added, source);
  }
  return vocabulary;
}

Result<void> ParsedJson::parse(std::string_view bytes, const std::string& source) {
  if (parser_.allocate(bytes.size() + 1, kMaxDepth) != simdjson::SUCCESS) {
    return fail(Code::no_memory, cat(source, ": no memory for parsing ", bytes.size(), " bytes"));
  }
  padded_ = simdjson::padded_string(bytes);
  element top;
  if (const auto error = parser_.parse(padded_).get(top); error != simdjson::SUCCESS) {
    return fail(Code::bad_file,
                cat(source, ": not valid JSON (", bytes.size(), " bytes): ", simdjson::error_message(error)));
  }
  if (top.get(object_) != simdjson::SUCCESS) return wrong_type(source, "", "an object", top);
  return {};
}

Result<AddedToken> read_added_token(const JsonFields& fields) {
  AddedToken token;
  CORBEL_ASSIGN(const std::int64_t id, fields.require_int("id", 0, Vocabulary::kMaxTokens - 1));
  token.id = static_cast<std::int32_t>(id);
  CORBEL_ASSIGN(token.content, fields.require_string("content"));
  CORBEL_ASSIGN(token.single_word, fields.get_bool("single_word", false));
  CORBEL_ASSIGN(token.lstrip, fields.get_bool("lstrip", false));
  CORBEL_ASSIGN(token.rstrip, fields.get_bool("rstrip", false));
  CORBEL_ASSIGN(token.special, fields.get_bool("special", false));
  CORBEL_ASSIGN(token.normalized, fields.get_bool("normalized", !token.special));
  return token;
}

Result<Tokenizer> make_tokenizer(const Stages& stages, const std::string& source, const MakeModel& make_model) {
  auto parts = std::make_unique<Tokenizer::Parts>();
  if (!stages.normalizer.is_null()) {
    CORBEL_ASSIGN(parts->normalizer, make_normalizer(JsonFields(stages.normalizer, source, "normalizer")));
  }
  ModelContext context{source};
  if (!stages.pre_tokenizer.is_null()) {
    CORBEL_ASSIGN(parts->pre_tokenizer, make_pre_tokenizer(JsonFields(stages.pre_tokenizer, source, "pre_tokenizer")));
    Pieces probe;
    probe.text = "a";
    probe.spans.push_back({0, 1});
    CORBEL_TRY(parts->pre_tokenizer->cut(probe));
    context.bytes_as_chars = probe.bytes_as_chars;
  }
  CORBEL_ASSIGN(parts->model, make_model(context));
  for (std::size_t i = 0; i < stages.added_tokens.size(); ++i) {
    const std::string place = cat("added_tokens[", i, "]");
    if (!stages.added_tokens[i].is_object())
      return fail(Code::bad_file, cat(source, ": \"", place, "\" must be an object"));
    CORBEL_ASSIGN(AddedToken token, read_added_token(JsonFields(stages.added_tokens[i], source, place)));
    if (auto added = parts->add_token(std::move(token)); !added)
      return forward_failure(added, cat(source, ": ", place));
  }
  CORBEL_TRY(parts->finish());
  if (!stages.post_processor.is_null()) {
    CORBEL_ASSIGN(parts->post_processor,
                  make_post_processor(JsonFields(stages.post_processor, source, "post_processor"), parts->id_limit()));
  }
  if (stages.decoder.is_null()) {
    parts->decoder = make_joining_decoder();
  } else {
    CORBEL_ASSIGN(parts->decoder, make_decoder(JsonFields(stages.decoder, source, "decoder")));
  }
  return Tokenizer(std::move(parts));
}

Result<Tokenizer> Tokenizer::from_json(std::string_view bytes, const std::string& source) {
  return read_tokenizer_json(bytes, source, nullptr);
}

Result<Tokenizer> read_tokenizer_json(std::string_view bytes, const std::string& source, FlatReader* tables) {
  ParsedJson parsed;
  CORBEL_TRY(parsed.parse(bytes, source));
  const simdjson::dom::object& top = parsed.object();
  Stages stages;
  CORBEL_ASSIGN(stages.normalizer, json_part(top, "normalizer", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.pre_tokenizer, json_part(top, "pre_tokenizer", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.post_processor, json_part(top, "post_processor", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.decoder, json_part(top, "decoder", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.added_tokens, json_part(top, "added_tokens", element_type::ARRAY, source));
  return make_tokenizer(stages, source, [&](ModelContext context) {
    context.tables = tables;
    return read_model(top, context);
  });
}

}  // namespace corbel
