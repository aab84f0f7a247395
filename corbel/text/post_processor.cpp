#include "corbel/text/post_processor.h"

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/disk_names.h"

namespace corbel {
namespace {

using Made = Result<PostProcessor>;

Failure wrong(const JsonFields& fields, std::string_view key, std::string_view what) {
  return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name(key), "\" ", what));
}

/// The ids of special token `name` by the template's own table.
Result<std::vector<std::int32_t>> special_ids(const JsonFields& fields, const std::string& name, std::int32_t limit) {
  if (!fields.has("special_tokens")) return wrong(fields, "special_tokens", "is missing");
  CORBEL_ASSIGN(const JsonFields table, fields.object("special_tokens"));
  if (!table.has(name)) return wrong(table, name, "is missing, and the template uses it");
  CORBEL_ASSIGN(const JsonFields entry, table.object(name));
  CORBEL_ASSIGN(const std::vector<std::int64_t> wide, entry.get_ints("ids"));
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : wide) {
    if (id < 0 || id >= limit) {
      return wrong(entry, "ids", cat("has ", id, "; ids of this tokenizer are below ", limit));
    }
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

Made make_template(const JsonFields& fields, std::int32_t limit) {
  const auto single = fields.json().find("single");
  if (single == fields.json().end() || !single->is_array()) return wrong(fields, "single", "must be an array");
  PostProcessor made;
  bool seen = false;
  for (const Json& part : *single) {
    if (part.is_object() && part.contains("Sequence")) {
      if (seen) return wrong(fields, "single", "has the sequence twice");
      seen = true;
      continue;
    }
    if (!part.is_object() || !part.contains("SpecialToken") || !part["SpecialToken"].is_object() ||
        !part["SpecialToken"].contains("id") || !part["SpecialToken"]["id"].is_string()) {
      return wrong(fields, "single", "has a part that is neither {\"SpecialToken\": {\"id\"}} nor {\"Sequence\"}");
    }
    CORBEL_ASSIGN(const auto ids, special_ids(fields, part["SpecialToken"]["id"].get<std::string>(), limit));
    auto& side = seen ? made.after : made.before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!seen) return wrong(fields, "single", "does not have the sequence itself");
  return made;
}

Made make_nothing(const JsonFields&, std::int32_t) { return PostProcessor{}; }

/// The id of a field ["token", id].
Result<std::int32_t> named_id(const JsonFields& fields, std::string_view key, std::int32_t limit) {
  const auto pair = fields.json().find(std::string(key));
  if (pair == fields.json().end() || !pair->is_array() || pair->size() != 2 || !(*pair)[0].is_string() ||
      !(*pair)[1].is_number_integer()) {
    return wrong(fields, key, "must be an array of a token and its id");
  }
  const bool fits = (*pair)[1].is_number_unsigned()
                        ? (*pair)[1].get<std::uint64_t>() < static_cast<std::uint64_t>(limit)
                        : (*pair)[1].get<std::int64_t>() >= 0 && (*pair)[1].get<std::int64_t>() < limit;
  if (!fits)
    return wrong(fields, key, cat("has the id ", (*pair)[1].dump(), "; ids of this tokenizer are below ", limit));
  return (*pair)[1].get<std::int32_t>();
}

/// The ids of "cls" and "sep" around one sequence: BertProcessing, RobertaProcessing.
Made make_cls_sep(const JsonFields& fields, std::int32_t limit) {
  PostProcessor made;
  CORBEL_ASSIGN(const std::int32_t cls, named_id(fields, "cls", limit));
  CORBEL_ASSIGN(const std::int32_t sep, named_id(fields, "sep", limit));
  made.before = {cls};
  made.after = {sep};
  return made;
}

bool has_type(const Json& part, std::string_view type) {
  return part.is_object() && part.contains("type") && part["type"] == type;
}

Made make_sequence(const JsonFields& fields, std::int32_t limit) {
  const auto parts = fields.json().find("processors");
  if (parts == fields.json().end() || !parts->is_array()) return wrong(fields, "processors", "must be an array");
  PostProcessor made;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string place = cat("processors[", i, "]");
    if (!(*parts)[i].is_object()) return wrong(fields, place, "must be an object");
    // The library hands each part that a template makes to the next processor as a sequence of its own.
    if (i > 0 && has_type((*parts)[i - 1], "TemplateProcessing") && !has_type((*parts)[i], "ByteLevel")) {
      return fail(Code::unsupported, cat(fields.source(), ": \"", fields.field_name(place),
                                         "\" stands behind \"TemplateProcessing\"; only \"ByteLevel\" may"));
    }
    CORBEL_ASSIGN(const PostProcessor outer,
                  make_post_processor(JsonFields((*parts)[i], fields.source(), fields.field_name(place)), limit));
    made.before.insert(made.before.begin(), outer.before.begin(), outer.before.end());
    made.after.insert(made.after.end(), outer.after.begin(), outer.after.end());
  }
  return made;
}

struct Kind {
  std::string_view type;
  Made (*make)(const JsonFields& fields, std::int32_t limit);
};
constexpr Kind kPostProcessors[] = {{"ByteLevel", make_nothing},
                                    {"TemplateProcessing", make_template},
                                    {disk_names::kWordPiecePostProcessor, make_cls_sep},
                                    {"RobertaProcessing", make_cls_sep},
                                    {"Sequence", make_sequence}};

}  // namespace

Made make_post_processor(const JsonFields& fields, std::int32_t id_limit) {
  CORBEL_ASSIGN(const std::string type, fields.require_string("type"));
  std::string known;
  for (const Kind& kind : kPostProcessors) {
    if (kind.type == type) return kind.make(fields, id_limit);
    known += cat(known.empty() ? "\"" : ", \"", kind.type, "\"");
  }
  return fail(Code::unsupported, cat(fields.source(), ": \"", fields.field_name("type"), "\" is \"", type,
                                     "\", which is not supported; known: ", known));
}

}  // namespace corbel
