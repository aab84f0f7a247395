#include "corbel/text/tokenizer_config.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel {

Result<Json> read_tokenizer_config(const std::filesystem::path& folder, std::string& source) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  source = path.string();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return Json::object();
  CORBEL_ASSIGN(Json config, read_json_file(path));
  if (!config.is_object()) return fail(Code::bad_file, cat(source, ": must be an object"));
  return config;
}

Result<Json> read_added_tokens_decoder(const JsonFields& config) {
  CORBEL_ASSIGN(const JsonFields added, config.object("added_tokens_decoder"));
  Json tokens = Json::array();
  for (const auto& [key, value] : added.json().items()) {
    std::int64_t id = -1;
    const auto end = std::from_chars(key.data(), key.data() + key.size(), id);
    if (end.ec != std::errc() || end.ptr != key.data() + key.size() || !value.is_object()) {
      return fail(Code::bad_file, cat(config.source(), ": \"", config.field_name("added_tokens_decoder"),
                                      "\" must have ids as keys and objects as values, found ", quote(key)));
    }
    Json token = value;
    token["id"] = id;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace corbel
