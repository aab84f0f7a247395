#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
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

Result<Json> read_object(const NamedFiles& files, const char* name) {
  CORBEL_ASSIGN(Json json, files.require_json(name));
  if (!json.is_object())
    return fail(Code::bad_file, cat(files.where(name), ": must be an object, found ", json.type_name()));
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
  return chat_template_source(FolderFiles(folder));
}

Result<ChatTemplateSource> chat_template_source(const NamedFiles& files) {
  ChatTemplateSource source;
  constexpr const char* kTextFile = "chat_template.jinja";
  CORBEL_ASSIGN(const std::optional<FileBytes> text, files.find(kTextFile, kMaxTemplateBytes));
  if (text) source.templates.push_back({"default", std::string(text->text()), files.where(kTextFile)});
  constexpr const char* kJsonFile = "chat_template.json";
  if (source.templates.empty() && files.has(kJsonFile)) {
    CORBEL_ASSIGN(const Json json, read_object(files, kJsonFile));
    if (json.contains("chat_template")) {
      CORBEL_TRY(read_templates(json["chat_template"], files.where(kJsonFile), source.templates));
    }
  }
  constexpr const char* kConfigFile = "tokenizer_config.json";
  if (files.has(kConfigFile)) {
    CORBEL_ASSIGN(const Json config, read_object(files, kConfigFile));
    read_special_tokens(config, source.variables);
    const bool has = config.contains("chat_template") && !config["chat_template"].is_null();
    if (source.templates.empty() && has) {
      CORBEL_TRY(read_templates(config["chat_template"], files.where(kConfigFile), source.templates));
    }
  }
  return source;
}

}  // namespace corbel
