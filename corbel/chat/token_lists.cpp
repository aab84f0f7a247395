#include "corbel/chat/token_lists.h"

#include <nlohmann/json.hpp>

#include "corbel/chat/request_options.h"

namespace corbel {
namespace {

Result<TokenList> read_text(const Json& text, const std::string& path, const Tokenizer& tokenizer,
                            const TokenListRules& rules) {
  TokenList list{.ids = {}, .text = text.get<std::string>()};
  auto ids = tokenizer.encode(cat(rules.prefix, list.text), {.add_special_tokens = rules.add_special_tokens});
  if (!ids) return refuse_field(path, cat("cannot be made into tokens: ", ids.error().message));
  list.ids = *std::move(ids);
  if (list.ids.empty()) return refuse_field(path, "has no tokens; at least one is needed");
  return list;
}

Result<TokenList> read_ids(const Json& ids, const std::string& path, const Tokenizer& tokenizer) {
  TokenList list;
  for (const Json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id >= tokenizer.vocab_size()) {
      return refuse_field(
          cat(path, '[', list.ids.size(), ']'),
          cat("is ", found_value(id), "; it must be a token id from 0 to ", tokenizer.vocab_size() - 1));
    }
    list.ids.push_back(id.get<std::int32_t>());
  }
  if (list.ids.empty()) return refuse_field(path, "has no tokens; at least one is needed");
  list.text = tokenizer.decode(list.ids, {.skip_special = false});
  return list;
}

}  // namespace

Result<std::vector<TokenList>> read_token_lists(const Json& value, const std::string& field, const Tokenizer& tokenizer,
                                                const TokenListRules& rules) {
  std::vector<TokenList> lists;
  if (value.is_string()) {
    CORBEL_ASSIGN(TokenList list, read_text(value, field, tokenizer, rules));
    lists.push_back(std::move(list));
    return lists;
  }
  if (value.empty()) return refuse_field(field, "is an empty list");
  if (value.front().is_number()) {
    CORBEL_ASSIGN(TokenList list, read_ids(value, field, tokenizer));
    lists.push_back(std::move(list));
    return lists;
  }
  if (value.size() > rules.most)
    return refuse_field(field, cat("has ", value.size(), " entries; at most ", rules.most));
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Json& one = value[i];
    const std::string path = cat(field, '[', i, ']');
    if (!one.is_string() && !one.is_array())
      return refuse_field(path, cat("is ", found_value(one), "; it must be a string or a list of token ids"));
    CORBEL_ASSIGN(TokenList list,
                  one.is_string() ? read_text(one, path, tokenizer, rules) : read_ids(one, path, tokenizer));
    lists.push_back(std::move(list));
  }
  return lists;
}

}  // namespace corbel
