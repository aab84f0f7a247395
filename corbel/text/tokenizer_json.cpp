#include "corbel/text/tokenizer_json.h"

#include <simdjson.h>

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/bpe_model.h"
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

Failure wrong_type(const std::string& source, std::string_view field, std::string_view expected, element found) {
  return fail(Code::bad_file, cat(source, ": \"", field, "\" must be ", expected, ", found ", type_name(found)));
}

/// A small part of the document in the form that stages read their fields from. Depth is bounded by the parser.
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

Result<void> read_merges(const simdjson::dom::array& merges, const std::string& source, BpeModel& model) {
  model.reserve_merges(merges.size());
  std::size_t index = 0;
  for (const element merge : merges) {
    const auto field = [&] { return cat("model.merges[", index, "]"); };
    std::string_view left;
    std::string_view right;
    std::string_view line;
    if (merge.get(line) == simdjson::SUCCESS) {
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        return fail(Code::bad_file,
                    cat(source, ": \"", field(), "\" must be two tokens with one space between, found \"",
                        line.substr(0, 160), "\""));
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else {
      simdjson::dom::array pair;
      if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 || pair.at(0).get(left) != simdjson::SUCCESS ||
          pair.at(1).get(right) != simdjson::SUCCESS) {
        return wrong_type(source, field(), "a string or an array of two strings", merge);
      }
    }
    if (auto added = model.add_merge(left, right); !added) return forward_failure(added, cat(source, ": model.merges"));
    ++index;
  }
  return {};
}

/// Refuses what this kind of model cannot do yet; `options` takes the rest.
Result<void> read_bpe_options(const simdjson::dom::object& model, const std::string& source,
                              const Vocabulary& vocabulary, BpeModel::Options& options) {
  Json small = Json::object();
  for (const auto& [key, value] : model) {
    if (key == "vocab" || key == "merges") continue;
    CORBEL_ASSIGN(small[std::string(key)], to_json(value, source));
  }
  const JsonFields fields(small, source, "model");
  CORBEL_ASSIGN(const double dropout, fields.get_number("dropout", 0));
  CORBEL_ASSIGN(const std::string prefix, fields.get_string("continuing_subword_prefix", ""));
  CORBEL_ASSIGN(const std::string suffix, fields.get_string("end_of_word_suffix", ""));
  CORBEL_ASSIGN(const bool byte_fallback, fields.get_bool("byte_fallback", false));
  const auto unsupported = [&](std::string_view key, std::string_view value) {
    return fail(Code::unsupported, cat(source, ": \"model.", key, "\" is ", value, ", which is not supported"));
  };
  if (dropout != 0) return unsupported("dropout", cat(dropout));
  if (!prefix.empty()) return unsupported("continuing_subword_prefix", cat("\"", prefix, "\""));
  if (!suffix.empty()) return unsupported("end_of_word_suffix", cat("\"", suffix, "\""));
  if (byte_fallback) return unsupported("byte_fallback", "true");
  CORBEL_ASSIGN(options.ignore_merges, fields.get_bool("ignore_merges", false));
  CORBEL_ASSIGN(const std::string unknown, fields.get_string("unk_token", ""));
  if (!unknown.empty()) {
    options.unknown_id = vocabulary.find(unknown);
    if (options.unknown_id == kNoToken) {
      return fail(Code::bad_file,
                  cat(source, ": \"model.unk_token\" is \"", unknown, "\", which \"model.vocab\" lacks"));
    }
  }
  return {};
}

Result<std::unique_ptr<TokenModel>> read_bpe(const simdjson::dom::object& model, const ModelContext& context) {
  if (!context.bytes_as_chars) {
    return fail(Code::unsupported, cat(context.source,
                                       ": a \"BPE\" model is supported only behind the pre-tokenizer "
                                       "\"ByteLevel\", which \"pre_tokenizer\" does not have"));
  }
  simdjson::dom::object vocab;
  if (model["vocab"].get(vocab) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(context.source, ": \"model.vocab\" must be an object of tokens and ids"));
  }
  simdjson::dom::array merges;
  if (model["merges"].get(merges) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(context.source, ": \"model.merges\" must be an array"));
  }
  CORBEL_ASSIGN(Vocabulary vocabulary, read_vocabulary(vocab, context.source, "model.vocab"));
  BpeModel::Options options;
  CORBEL_TRY(read_bpe_options(model, context.source, vocabulary, options));
  auto made = std::make_unique<BpeModel>(std::move(vocabulary), options);
  CORBEL_TRY(read_merges(merges, context.source, *made));
  return Result<std::unique_ptr<TokenModel>>(std::move(made));
}

struct ModelKind {
  std::string_view type;
  Result<std::unique_ptr<TokenModel>> (*read)(const simdjson::dom::object& model, const ModelContext& context);
};
constexpr ModelKind kModels[] = {{"BPE", read_bpe}};

Result<std::unique_ptr<TokenModel>> read_model(const simdjson::dom::object& top, const ModelContext& context) {
  simdjson::dom::object model;
  if (top["model"].get(model) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(context.source, ": \"model\" must be an object"));
  }
  std::string_view type;
  if (model["type"].get(type) != simdjson::SUCCESS) {
    // Files of the first years leave the type out; only this kind of model has merges.
    element merges;
    type = model["merges"].get(merges) == simdjson::SUCCESS ? "BPE" : "absent";
  }
  std::string known;
  for (const ModelKind& kind : kModels) {
    if (kind.type == type) return kind.read(model, context);
    known += cat(known.empty() ? "\"" : ", \"", kind.type, "\"");
  }
  return fail(Code::unsupported,
              cat(context.source, ": \"model.type\" is \"", type, "\", which is not supported; known: ", known));
}

}  // namespace

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
  ParsedJson parsed;
  CORBEL_TRY(parsed.parse(bytes, source));
  const simdjson::dom::object& top = parsed.object();
  Stages stages;
  CORBEL_ASSIGN(stages.normalizer, json_part(top, "normalizer", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.pre_tokenizer, json_part(top, "pre_tokenizer", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.post_processor, json_part(top, "post_processor", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.decoder, json_part(top, "decoder", element_type::OBJECT, source));
  CORBEL_ASSIGN(stages.added_tokens, json_part(top, "added_tokens", element_type::ARRAY, source));
  return make_tokenizer(stages, source, [&](const ModelContext& context) { return read_model(top, context); });
}

}  // namespace corbel
