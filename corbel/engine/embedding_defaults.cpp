#include "corbel/engine/embedding_defaults.h"

#include <nlohmann/json.hpp>

#include "corbel/base/disk_names.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 20;

/// A file in the model's folder or in a folder of it, never elsewhere.
bool stays_inside(std::string_view path) {
  return path.find("..") == path.npos && !path.starts_with('/') && path.find('\\') == path.npos;
}

/// "lasttoken" or the switches that older files have, one of which is on.
Result<std::string> pooling_mode(const JsonFields& config) {
  if (config.has("pooling_mode")) return config.require_string("pooling_mode");
  constexpr std::string_view kPrefix = "pooling_mode_";
  std::string mode;
  if (!config.json().is_object()) return config.require_string("pooling_mode");  // refuses
  for (const auto& [key, value] : config.json().items()) {
    if (!key.starts_with(kPrefix)) continue;
    CORBEL_ASSIGN(const bool on, config.get_bool(key, false));
    if (on) mode += cat(mode.empty() ? "" : "+", key.substr(kPrefix.size()));
  }
  return mode;
}

Result<void> read_pooling(const NamedFiles& files, const std::string& name, EmbeddingDefaults& defaults) {
  CORBEL_ASSIGN(const Json json, files.require_json(name, kMostBytes));
  const JsonFields config(json, files.where(name));
  CORBEL_ASSIGN(const std::string mode, pooling_mode(config));
  CORBEL_ASSIGN(defaults.includes_prompt, config.get_bool("include_prompt", true));
  if (mode == "lasttoken") {
    defaults.pooling = Pooling::last;
  } else if (mode == "mean" || mode == "mean_tokens") {
    defaults.pooling = Pooling::mean;
  } else {
    return fail(Code::unsupported, cat(files.where(name), ": the pooling is ", quote(mode),
                                       "; known: \"lasttoken\", \"mean\". --pooling chooses another one"));
  }
  return {};
}

Result<void> read_module(const NamedFiles& files, const JsonFields& module, EmbeddingDefaults& defaults) {
  CORBEL_ASSIGN(const std::string type, module.require_string("type"));
  CORBEL_ASSIGN(const std::string path, module.get_string("path", ""));
  const std::string_view kind = std::string_view(type).substr(type.rfind('.') + 1);
  if (kind == "Transformer") return {};
  if (kind == "Normalize") {
    defaults.normalize = true;
    return {};
  }
  if (kind != "Pooling" || !stays_inside(path)) {
    return fail(Code::unsupported, cat(module.source(), ": module ", quote(type), " in ", quote(path),
                                       "; known: Transformer, Pooling, Normalize"));
  }
  return read_pooling(files, path.empty() ? "config.json" : path + "/config.json", defaults);
}

Result<void> read_modules(const NamedFiles& files, EmbeddingDefaults& defaults) {
  constexpr const char* kModules = "modules.json";
  constexpr const char* kPooling = "1_Pooling/config.json";
  if (!files.has(kModules)) return files.has(kPooling) ? read_pooling(files, kPooling, defaults) : Result<void>();
  CORBEL_ASSIGN(const Json json, files.require_json(kModules, kMostBytes));
  if (!json.is_array()) return fail(Code::bad_file, cat(files.where(kModules), " is no array of modules"));
  defaults.normalize = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    CORBEL_TRY(read_module(files, JsonFields(json[i], cat(files.where(kModules), ": module ", i)), defaults));
  }
  return {};
}

Result<void> read_prompts(const NamedFiles& files, EmbeddingDefaults& defaults) {
  constexpr const char* kName = "config_sentence_transformers.json";
  if (!files.has(kName)) return {};
  CORBEL_ASSIGN(const Json json, files.require_json(kName, kMostBytes));
  const JsonFields config(json, files.where(kName));
  if (config.has("prompts")) {
    CORBEL_ASSIGN(const JsonFields prompts, config.object("prompts"));
    for (const auto& [key, value] : prompts.json().items()) {
      CORBEL_ASSIGN(defaults.prompts[key], prompts.get_string(key, ""));
    }
  }
  CORBEL_ASSIGN(defaults.default_prompt, config.get_string("default_prompt_name", ""));
  if (!defaults.default_prompt.empty() && !defaults.prompts.contains(defaults.default_prompt)) {
    return fail(Code::bad_file, cat(files.where(kName), ": \"default_prompt_name\" is ", quote(defaults.default_prompt),
                                    ", which \"prompts\" does not have"));
  }
  return {};
}

}  // namespace

Result<EmbeddingDefaults> read_embedding_defaults(const NamedFiles& files) {
  constexpr std::string_view kLimits = disk_names::kEmbeddingLimitsFile;
  EmbeddingDefaults defaults;
  CORBEL_TRY(read_modules(files, defaults));
  CORBEL_TRY(read_prompts(files, defaults));
  if (files.has(kLimits)) {
    CORBEL_ASSIGN(const Json json, files.require_json(kLimits, kMostBytes));
    CORBEL_ASSIGN(defaults.max_tokens,
                  JsonFields(json, files.where(kLimits)).get_int("max_seq_length", 0, 0, std::int64_t{1} << 31));
  }
  return defaults;
}

}  // namespace corbel
