#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"
#include "corbel/format/gguf_config.h"

// What a GGUF file says about special tokens, chat templates and sampling.

namespace corbel {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kTemplate = "tokenizer.chat_template";
constexpr std::string_view kTemplateNames = "tokenizer.chat_templates";

/// Ends of a turn or of a text. Many files name one of them only; whoever reads such files goes by their text.
constexpr std::string_view kEnds[] = {"<|eot_id|>", "<|eom_id|>",    "<|im_end|>", "<|end_of_text|>", "<|endoftext|>",
                                      "<|end|>",    "<end_of_turn>", "<EOT>",      "_<EOT>"};

/// The id under "tokenizer.ggml.NAME_token_id"; -1 for none, which files also write as 2^32 - 1.
Result<std::int64_t> read_token_id(const GgufHeader& header, std::string_view name, std::size_t tokens) {
  const std::string key = cat("tokenizer.ggml.", name, "_token_id");
  CORBEL_ASSIGN(const std::int64_t id, header.get_int(key, -1, -1, UINT32_MAX));
  if (id == UINT32_MAX) return -1;
  if (id < static_cast<std::int64_t>(tokens) || tokens == 0) return id;
  return fail(Code::bad_file, cat(header.source(), ": \"", key, "\" is ", id, "; the last token is ", tokens - 1));
}

Result<void> add_sampling(const GgufHeader& header, Json& config) {
  struct Setting {
    std::string_view key;
    const char* name;
  };
  constexpr Setting kSettings[] = {{"general.sampling.temp", "temperature"},
                                   {"general.sampling.top_p", "top_p"},
                                   {"general.sampling.min_p", "min_p"},
                                   {"general.sampling.penalty_repeat", "repetition_penalty"}};
  const GgufKeys keys(header, "general.sampling");
  for (const Setting& setting : kSettings) {
    if (!header.has(setting.key)) continue;
    CORBEL_ASSIGN(config[setting.name], keys.get_number(setting.key.substr(setting.key.rfind('.') + 1), 0.0));
  }
  if (keys.has("top_k")) {
    CORBEL_ASSIGN(config["top_k"], header.get_int(keys.key("top_k"), 0, 0, INT32_MAX));
  }
  return {};
}

}  // namespace

Result<Json> make_gguf_generation_config(const GgufHeader& header) {
  CORBEL_ASSIGN(const auto tokens, header.get_strings(kTokens));
  CORBEL_ASSIGN(const auto types, header.get_ints(kTypes));
  Json config = Json::object();
  CORBEL_ASSIGN(const std::int64_t bos, read_token_id(header, "bos", tokens.size()));
  if (bos >= 0) config["bos_token_id"] = bos;
  std::vector<std::int64_t> ends;
  const auto add = [&](std::int64_t id) {
    if (id >= 0 && std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  };
  for (const std::string_view name : {"eos", "eot", "eom"}) {
    CORBEL_ASSIGN(const std::int64_t id, read_token_id(header, name, tokens.size()));
    add(id);
  }
  constexpr std::int32_t kControl = 3;
  constexpr std::int32_t kUserDefined = 4;
  for (std::size_t id = 0; id < std::min(tokens.size(), types.size()); ++id) {
    const bool special = types[id] == kControl || types[id] == kUserDefined;
    if (special && std::find(std::begin(kEnds), std::end(kEnds), tokens[id]) != std::end(kEnds))
      add(static_cast<std::int64_t>(id));
  }
  if (!ends.empty()) config["eos_token_id"] = ends;
  CORBEL_TRY(add_sampling(header, config));
  return config;
}

Result<Json> make_gguf_pooling_config(const GgufKeys& keys) {
  constexpr std::string_view kModes[] = {"", "mean", "cls", "lasttoken", "rank"};  // by "pooling_type"
  CORBEL_ASSIGN(const std::int64_t type, keys.header().get_int(keys.key("pooling_type"), 0, 0, std::ssize(kModes) - 1));
  return type == 0 ? Json() : Json{{"pooling_mode", kModes[type]}};
}

namespace {

/// "chat_template": a string, or a list of names and templates where the file has several; null without any.
Result<Json> read_chat_template(const GgufHeader& header) {
  CORBEL_ASSIGN(const std::string_view single, header.get_string(kTemplate, ""));
  CORBEL_ASSIGN(const auto names, header.get_strings(kTemplateNames));
  if (names.empty()) return single.empty() ? Json() : Json(std::string(single));
  Json list = Json::array();
  if (!single.empty()) list.push_back({{"name", "default"}, {"template", std::string(single)}});
  for (const std::string_view name : names) {
    CORBEL_ASSIGN(const std::string_view text, header.require_string(cat(kTemplate, '.', clip(name))));
    list.push_back({{"name", std::string(name)}, {"template", std::string(text)}});
  }
  return list;
}

}  // namespace

Result<Json> make_gguf_tokenizer_config(const GgufHeader& header) {
  CORBEL_ASSIGN(const auto tokens, header.get_strings(kTokens));
  Json config = Json::object();
  struct Special {
    std::string_view id;
    const char* name;
  };
  constexpr Special kSpecials[] = {
      {"bos", "bos_token"}, {"eos", "eos_token"}, {"unknown", "unk_token"}, {"padding", "pad_token"}};
  for (const Special& special : kSpecials) {
    CORBEL_ASSIGN(const std::int64_t id, read_token_id(header, special.id, tokens.size()));
    if (id >= 0 && !tokens.empty()) config[special.name] = std::string(tokens[static_cast<std::size_t>(id)]);
  }
  for (const char* name : {"add_bos_token", "add_eos_token"}) {
    const std::string key = cat("tokenizer.ggml.", name);
    if (!header.has(key)) continue;
    CORBEL_ASSIGN(config[name], header.get_bool(key, false));
  }
  CORBEL_ASSIGN(Json chat_template, read_chat_template(header));
  if (!chat_template.is_null()) config["chat_template"] = std::move(chat_template);
  return config;
}

}  // namespace corbel
