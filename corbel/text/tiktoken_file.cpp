#include "corbel/text/tiktoken_file.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"
#include "corbel/text/bpe_model.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/tiktoken_kinds.h"
#include "corbel/text/tokenizer_config.h"
#include "corbel/text/tokenizer_json.h"

namespace corbel {
namespace {

constexpr std::array<std::int8_t, 256> kBase64Values = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<std::uint8_t>(kDigits[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

/// Cuts `base64 rank`; false where the line is something else.
bool read_rank_line(std::string_view line, std::string_view& base64, std::int64_t& rank) noexcept {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0) return false;
  base64 = line.substr(0, space);
  const std::string_view digits = line.substr(space + 1);
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  return end.ec == std::errc() && end.ptr == digits.data() + digits.size();
}

std::string_view take_line(std::string_view& text) noexcept {
  const std::size_t stop = text.find('\n');
  std::string_view line = text.substr(0, stop);
  text.remove_prefix(stop == std::string_view::npos ? text.size() : stop + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Result<Vocabulary> read_ranks(std::string_view text, const std::string& source,
                              std::vector<BpeModel::RankedToken>& tokens) {
  Vocabulary vocabulary;
  // A line has at least 7 bytes; tokens are shorter than their lines.
  vocabulary.reserve(std::min<std::size_t>(text.size() / 7, Vocabulary::kMaxTokens), text.size() / 2);
  std::string bytes;
  std::string spelled;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    std::string_view base64;
    std::int64_t rank = -1;
    bytes.clear();
    if (!read_rank_line(line, base64, rank) || !append_base64(base64, bytes)) {
      return fail(Code::bad_file,
                  cat(source, ":", number, ": must be a token in base64, a space and its rank, found ", quote(line)));
    }
    spelled.clear();
    append_spelled(spelled, bytes);
    if (auto added = vocabulary.add(spelled, rank, "rank"); !added) {
      return forward_failure(added, cat(source, ":", number));
    }
    tokens.push_back({static_cast<std::int32_t>(rank), static_cast<std::uint32_t>(rank)});
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    spelled.clear();
    append_spelled(spelled, {&raw, 1});
    if (vocabulary.find(spelled) == kNoToken) {
      return fail(Code::bad_file, cat(source, ": none of its ", vocabulary.size(), " tokens is the single byte ", byte,
                                      "; all 256 are needed, or some text has no ids"));
    }
  }
  return vocabulary;
}

Result<RankKind> find_kind(std::size_t ranks, const std::string& source) {
  std::string known;
  for (const RankKind& kind : rank_kinds()) {
    if (static_cast<std::size_t>(kind.ranks) == ranks) return kind;
    known += cat(known.empty() ? "" : ", ", kind.ranks);
  }
  return fail(Code::unsupported, cat(source, ": has ", ranks,
                                     " ranks; which regex cuts its text is not in such a file and known only for ",
                                     known, " ranks (corbel/text/tiktoken_kinds.cpp). A tokenizer.json says it all"));
}

Json listed_specials(const RankKind& kind) {
  Json tokens = Json::array();
  for (const RankSpecials& specials : kind.specials) {
    for (std::int32_t i = 0; i < specials.count; ++i) {
      std::string text(specials.text);
      if (!specials.after.empty()) text += cat(specials.first_number + i, specials.after);
      tokens.push_back({{"id", specials.first_id + i}, {"content", text}, {"special", true}, {"normalized", kind.nfc}});
    }
  }
  return tokens;
}

/// Puts the ids of `beginning` in front of every text.
Result<Json> begin_with(std::span<const std::string_view> beginning, const Json& added, const std::string& source) {
  Json single = Json::array();
  Json ids = Json::object();
  for (const std::string_view text : beginning) {
    const Json* found = nullptr;
    for (const Json& token : added) {
      if (token.contains("content") && token["content"] == text) found = &token;
    }
    if (found == nullptr) {
      return fail(Code::bad_file,
                  cat(source, ": its texts begin with the special token ", quote(text),
                      ", which \"added_tokens_decoder\" of the tokenizer_config.json beside it must list"));
    }
    single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    ids[std::string(text)] = {{"id", text}, {"ids", {(*found)["id"]}}, {"tokens", {text}}};
  }
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  return Json{{"type", "TemplateProcessing"}, {"single", single}, {"pair", single}, {"special_tokens", ids}};
}

}  // namespace

bool append_base64(std::string_view text, std::string& out) {
  if (text.empty() || text.size() % 4 != 0) return false;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::size_t digits = text.size() - padding;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const std::int8_t value = kBase64Values[static_cast<std::uint8_t>(text[i])];
    if (value < 0) return false;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    if (i % 4 == 3) {
      out.push_back(static_cast<char>(bits >> 16));
      out.push_back(static_cast<char>(bits >> 8));
      out.push_back(static_cast<char>(bits));
    }
  }
  // Bits behind the last byte must be zero: every token has one spelling.
  if (padding == 1) {
    out.push_back(static_cast<char>(bits >> 10));
    out.push_back(static_cast<char>(bits >> 2));
    return (bits & 3) == 0;
  }
  if (padding == 2) {
    out.push_back(static_cast<char>(bits >> 4));
    return (bits & 15) == 0;
  }
  return true;
}

bool is_rank_file(std::string_view bytes) noexcept {
  std::string_view base64;
  std::int64_t rank = -1;
  if (!read_rank_line(take_line(bytes), base64, rank) || base64.size() % 4 != 0) return false;
  for (const char c : base64) {
    if (kBase64Values[static_cast<std::uint8_t>(c)] < 0 && c != '=') return false;
  }
  return true;
}

Result<Tokenizer> read_rank_file(std::string_view text, const std::string& source, const JsonFields& config) {
  std::vector<BpeModel::RankedToken> tokens;
  CORBEL_ASSIGN(Vocabulary vocabulary, read_ranks(text, source, tokens));
  CORBEL_ASSIGN(const RankKind kind, find_kind(tokens.size(), source));
  Stages stages;
  if (kind.nfc) stages.normalizer = {{"type", "NFC"}};
  Json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  split["pattern"] = {{"Regex", std::string(kind.regex)}};
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  stages.pre_tokenizer = {{"type", "Sequence"}};
  stages.pre_tokenizer["pretokenizers"] = Json::array({std::move(split), bytes});
  stages.decoder = {{"type", "ByteLevel"}};
  if (config.has("added_tokens_decoder")) {
    CORBEL_ASSIGN(stages.added_tokens, read_added_tokens_decoder(config));
    for (Json& token : stages.added_tokens) token["normalized"] = kind.nfc;
  } else {
    stages.added_tokens = listed_specials(kind);
  }
  if (!kind.beginning.empty()) {
    CORBEL_ASSIGN(stages.post_processor, begin_with(kind.beginning, stages.added_tokens, source));
  }
  return make_tokenizer(stages, source, [&](const ModelContext&) -> Result<std::unique_ptr<TokenModel>> {
    auto model = std::make_unique<BpeModel>(std::move(vocabulary), BpeModel::Options{.ignore_merges = true});
    CORBEL_TRY(model->add_every_split(tokens));
    return Result<std::unique_ptr<TokenModel>>(std::move(model));
  });
}

}  // namespace corbel
