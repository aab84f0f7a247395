#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/mapped_file.h"
#include "corbel/text/chat_template.h"

namespace corbel {
namespace {

constexpr std::int64_t kMaxTemplateBytes = 4 << 20;

Result<void> read_templates(const Json& found, const std::string& file, std::vector<ChatTemplateSource::Named>& out) {
  if (found.is_string()) {
    out.push_back({"default", found.get<std::string>(), file});
    return {};
  }
  if (!found.is_array()) {
    return fail(Code::bad_file,
                cat(file, ": \"chat_template\" must be a string or an array, found ", found.type_name()));
  }
  for (const Json& entry : found) {
    const bool named = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                       entry.contains("template") && entry["template"].is_string();
    if (!named) {
      return fail(Code::bad_file, cat(file, ": \"chat_template\" must hold objects with \"name\" and \"template\""));
    }
    out.push_back({entry["name"].get<std::string>(), entry["template"].get<std::string>(), file});
  }
  return {};
}

/// bos_token, eos_token, ...: a string, or an object whose "content" is one.
void read_special_tokens(const Json& config, std::vector<std::pair<std::string, std::string>>& variables) {
  for (const auto& [key, value] : config.items()) {
    if (!key.ends_with("_token")) continue;
    const Json* text = &value;
    if (value.is_object() && value.contains("content")) text = &value["content"];
    if (text->is_string()) variables.emplace_back(key, text->get<std::string>());
  }
}

Result<Json> read_object(const std::filesystem::path& path) {
  CORBEL_ASSIGN(Json json, read_json_file(path));
  if (!json.is_object())
    return fail(Code::bad_file, cat(path.string(), ": must be an object, found ", json.type_name()));
  return json;
}

}  // namespace

const ChatTemplateSource::Named* ChatTemplateSource::find(std::string_view name) const {
  for (const Named& entry : templates) {
    if (entry.name == (name.empty() ? "default" : name)) return &entry;
  }
  return name.empty() && templates.size() == 1 ? templates.data() : nullptr;
}

Result<ChatTemplateSource> chat_template_source(const std::filesystem::path& folder) {
  ChatTemplateSource source;
  std::error_code ignored;
  const auto there = [&](const std::filesystem::path& path) { return std::filesystem::exists(path, ignored); };
  const std::filesystem::path text_file = folder / "chat_template.jinja";
  if (there(text_file)) {
    CORBEL_ASSIGN(std::string text, read_text_file(text_file, kMaxTemplateBytes));
    source.templates.push_back({"default", std::move(text), text_file.string()});
  }
  const std::filesystem::path json_file = folder / "chat_template.json";
  if (source.templates.empty() && there(json_file)) {
    CORBEL_ASSIGN(const Json json, read_object(json_file));
    if (json.contains("chat_template")) {
      CORBEL_TRY(read_templates(json["chat_template"], json_file.string(), source.templates));
    }
  }
  const std::filesystem::path config_file = folder / "tokenizer_config.json";
  if (there(config_file)) {
    CORBEL_ASSIGN(const Json config, read_object(config_file));
    read_special_tokens(config, source.variables);
    const bool has = config.contains("chat_template") && !config["chat_template"].is_null();
    if (source.templates.empty() && has) {
      CORBEL_TRY(read_templates(config["chat_template"], config_file.string(), source.templates));
    }
  }
  return source;
}

}  // namespace corbel
