#include "corbel/chat/response_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

using Content = std::optional<StructuredContent>;
constexpr std::size_t kMaxChoices = 1024;
constexpr std::size_t kMaxName = 64;

/// A schema as an object, or as the text of one.
Result<Content> schema_content(const Json& schema, const std::string& path) {
  if (schema.is_string()) {
    const auto parsed = parse_json(schema.get_ref<const std::string&>(), "text");
    if (!parsed) return fail(Code::bad_request, cat('"', path, "\" is no JSON: ", parsed.error().message));
    return schema_content(*parsed, path);
  }
  if (!schema.is_object() && !schema.is_boolean()) {
    return fail(Code::bad_request, cat('"', path, "\" must be a JSON schema, found ", found_value(schema)));
  }
  std::string text = schema.dump(-1, ' ', false, Json::error_handler_t::replace);
  return Content({GrammarSource::json_schema(std::move(text)), path});
}

Result<Content> choice_content(const Json& choices, const std::string& path) {
  const bool texts = choices.is_array() && !choices.empty() && choices.size() <= kMaxChoices &&
                     std::ranges::all_of(choices, [](const Json& one) { return one.is_string(); });
  if (!texts) return fail(Code::bad_request, cat('"', path, "\" must be a list of 1 to ", kMaxChoices, " texts"));
  return Content({GrammarSource::choice(choices.get<std::vector<std::string>>()), path});
}

Content regex_content(const std::string& pattern, const std::string& path) {
  return Content({GrammarSource::regex(pattern), path});
}

/// {"type": "json_schema", "json_schema": {"name", "description", "schema", "strict"}}
Result<Content> response_format_content(const RequestReader& format) {
  CORBEL_TRY(format.check_known({"type", "json_schema", "schema"}));
  CORBEL_ASSIGN(const std::string type, format.require_text("type"));
  if (type == "text") return Content();
  const Json* schema = format.find("schema");  // llama.cpp's place for it
  if (type == "json_object") {
    if (schema != nullptr) return schema_content(*schema, format.path_of("schema"));
    return Content({GrammarSource::json_object(), format.path()});
  }
  if (type != "json_schema") {
    return format.refuse("type", cat("is ", quote(type), R"(; known: "text", "json_object", "json_schema")"));
  }
  CORBEL_ASSIGN(const RequestReader wanted, format.object("json_schema"));
  CORBEL_TRY(wanted.check_known({"name", "description", "schema", "strict"}));
  CORBEL_ASSIGN(const std::string name, wanted.text("name", "answer"));
  const bool good_name = !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!good_name) {
    return wanted.refuse("name",
                         cat("is ", quote(name), "; it must have 1 to ", kMaxName, " letters, digits, _ and -"));
  }
  CORBEL_TRY(wanted.text("description", ""));
  CORBEL_TRY(wanted.boolean("strict", false));  // it holds in any case
  schema = wanted.find("schema");
  if (schema == nullptr) return Content({GrammarSource::json_value(), wanted.path()});
  return schema_content(*schema, wanted.path_of("schema"));
}

Result<Content> structured_outputs_content(const RequestReader& wanted) {
  CORBEL_TRY(wanted.check_known({"json", "regex", "choice", "grammar", "json_object"}));
  Content content;
  int given = 0;
  if (const Json* schema = wanted.find("json"); schema != nullptr) {
    ++given;
    CORBEL_ASSIGN(content, schema_content(*schema, wanted.path_of("json")));
  }
  if (wanted.find("regex") != nullptr) {
    ++given;
    CORBEL_ASSIGN(const std::string pattern, wanted.require_text("regex"));
    content = regex_content(pattern, wanted.path_of("regex"));
  }
  if (const Json* choices = wanted.find("choice"); choices != nullptr) {
    ++given;
    CORBEL_ASSIGN(content, choice_content(*choices, wanted.path_of("choice")));
  }
  if (wanted.find("grammar") != nullptr) {
    ++given;
    CORBEL_ASSIGN(std::string grammar, wanted.require_text("grammar"));
    content = Content({GrammarSource::gbnf(std::move(grammar)), wanted.path_of("grammar")});
  }
  CORBEL_ASSIGN(const bool any_object, wanted.boolean("json_object", false));
  if (any_object) {
    ++given;
    content = Content({GrammarSource::json_object(), wanted.path_of("json_object")});
  }
  if (given == 1) return content;
  return fail(Code::bad_request, cat('"', wanted.path(), "\" has ", given,
                                     " of json, regex, choice, grammar, json_object; one is needed"));
}

}  // namespace

Result<Content> read_structured_content(const RequestFields& fields) {
  Content content;
  std::string_view given;
  const auto take = [&](std::string_view name, Result<Content> read) -> Result<void> {
    if (!read) return forward_failure(read);
    if (!read->has_value()) return {};
    if (content) {
      return fail(Code::bad_request,
                  cat('"', name, "\" and \"", given, "\" both say what the answer looks like; give one"));
    }
    content = *std::move(read);
    given = name;
    return {};
  };
  if (const Json* format = fields.find("response_format"); format != nullptr) {
    CORBEL_TRY(take("response_format", response_format_content(RequestReader(*format, "response_format"))));
  }
  if (const Json* wanted = fields.find("structured_outputs"); wanted != nullptr) {
    CORBEL_TRY(take("structured_outputs", structured_outputs_content(RequestReader(*wanted, "structured_outputs"))));
  }
  if (const Json* schema = fields.find("guided_json"); schema != nullptr) {
    CORBEL_TRY(take("guided_json", schema_content(*schema, "guided_json")));
  }
  if (fields.has("guided_regex")) {
    CORBEL_TRY(take("guided_regex", regex_content(fields.text("guided_regex", ""), "guided_regex")));
  }
  for (const std::string_view name : {"grammar", "guided_grammar"}) {
    if (!fields.has(name)) continue;
    CORBEL_TRY(take(name, Content({GrammarSource::gbnf(fields.text(name, "")), std::string(name)})));
  }
  if (const Json* choices = fields.find("guided_choice"); choices != nullptr) {
    CORBEL_TRY(take("guided_choice", choice_content(*choices, "guided_choice")));
  }
  return content;
}

}  // namespace corbel
