#include "corbel/text/tokenizer_config.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel {

Result<Json> read_tokenizer_config(const NamedFiles& files, std::string& source) {
  constexpr const char* kName = "tokenizer_config.json";
  source = files.where(kName);
  if (!files.has(kName)) return Json::object();
  CORBEL_ASSIGN(Json config, files.require_json(kName));
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
