#include "corbel/text/gguf_tokenizer.h"

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/disk_names.h"
#include "corbel/base/quote.h"
#include "corbel/text/bpe_model.h"
#include "corbel/text/gguf_splitting.h"
#include "corbel/text/literal_vocabulary.h"
#include "corbel/text/sentencepiece_tokenizer.h"
#include "corbel/text/tokenizer_json.h"
#include "corbel/text/unicode.h"
#include "corbel/text/word_piece_model.h"

namespace corbel {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";

/// The lists that every kind has.
struct Lists {
  std::vector<std::string_view> tokens;
  std::vector<float> scores;     // empty, or as many as tokens
  std::vector<PieceType> types;  // as many as tokens
};

Result<Lists> read_lists(const GgufHeader& header) {
  Lists lists;
  CORBEL_ASSIGN(lists.tokens, header.get_strings("tokenizer.ggml.tokens"));
  if (lists.tokens.empty() || lists.tokens.size() > static_cast<std::size_t>(Vocabulary::kMaxTokens)) {
    return fail(Code::bad_file, cat(header.source(), ": \"tokenizer.ggml.tokens\" has ", lists.tokens.size(),
                                    " tokens; it must have 1 to ", Vocabulary::kMaxTokens));
  }
  CORBEL_ASSIGN(lists.scores, header.get_floats("tokenizer.ggml.scores"));
  CORBEL_ASSIGN(const std::vector<std::int32_t> types, header.get_ints("tokenizer.ggml.token_type"));
  const auto check_count = [&](std::string_view key, std::size_t count) -> Result<void> {
    if (count == 0 || count == lists.tokens.size()) return {};
    return fail(Code::bad_file, cat(header.source(), ": \"", key, "\" has ", count, " entries, but ",
                                    "\"tokenizer.ggml.tokens\" has ", lists.tokens.size()));
  };
  CORBEL_TRY(check_count("tokenizer.ggml.scores", lists.scores.size()));
  CORBEL_TRY(check_count("tokenizer.ggml.token_type", types.size()));
  lists.types.assign(lists.tokens.size(), PieceType::normal);
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 1 || types[i] > 6) {
      return fail(Code::bad_file, cat(header.source(), ": \"tokenizer.ggml.token_type\" is ", types[i], " for token ",
                                      i, "; types are 1 to 6"));
    }
    lists.types[i] = static_cast<PieceType>(types[i]);
  }
  for (std::size_t i = 0; i < lists.tokens.size(); ++i) {
    if (valid_utf8_prefix(lists.tokens[i]) == lists.tokens[i].size()) continue;
    return fail(Code::bad_file,
                cat(header.source(), ": token ", i, " (", quote(lists.tokens[i]), ") is not valid UTF-8"));
  }
  return lists;
}

/// An id under "tokenizer.ggml.KEY", or the fallback; -1 stands for none.
Result<std::int32_t> read_id(const GgufHeader& header, std::string_view key, std::int64_t fallback,
                             std::size_t tokens) {
  const std::string full = cat("tokenizer.ggml.", key);
  const auto last = static_cast<std::int64_t>(tokens) - 1;
  // Files write 2^32 - 1 for none.
  CORBEL_ASSIGN(const std::int64_t id, header.get_int(full, fallback, -1, UINT32_MAX));
  if (id == UINT32_MAX || (id > last && !header.has(full))) return kNoToken;
  if (id <= last) return static_cast<std::int32_t>(id);
  return fail(Code::bad_file, cat(header.source(), ": \"", full, "\" is ", id, "; the last token is ", last));
}

struct Defaults {
  std::int64_t begin = -1;
  std::int64_t end = -1;
  bool begins = false;
  bool ends = false;
};

/// What stands around a text.
struct Around {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
};

Result<Around> read_around(const GgufHeader& header, std::size_t tokens, const Defaults& defaults) {
  Around around;
  CORBEL_ASSIGN(const std::int32_t begin, read_id(header, "bos_token_id", defaults.begin, tokens));
  CORBEL_ASSIGN(const std::int32_t end, read_id(header, "eos_token_id", defaults.end, tokens));
  CORBEL_ASSIGN(const std::int32_t separator, read_id(header, "seperator_token_id", -1, tokens));  // spelled so on disk
  CORBEL_ASSIGN(const bool begins, header.get_bool("tokenizer.ggml.add_bos_token", defaults.begins));
  CORBEL_ASSIGN(const bool ends, header.get_bool("tokenizer.ggml.add_eos_token", defaults.ends));
  CORBEL_ASSIGN(const bool separates, header.get_bool("tokenizer.ggml.add_sep_token", false));
  if (begins && begin >= 0) around.before.push_back(begin);
  if (ends && end >= 0) around.after.push_back(end);
  if (separates && separator >= 0 && around.after.empty()) around.after.push_back(separator);
  return around;
}

Result<SentencePieceSpec> make_spec(const GgufHeader& header, const Lists& lists, SentencePieceSpec::Kind kind) {
  SentencePieceSpec spec;
  spec.kind = kind;
  if (lists.scores.empty()) {
    return fail(Code::bad_file,
                cat(header.source(), ": \"tokenizer.ggml.scores\" is missing; this kind of tokenizer needs it"));
  }
  const bool sums = kind == SentencePieceSpec::Kind::unigram;
  CORBEL_ASSIGN(const std::int32_t unknown, read_id(header, "unknown_token_id", sums ? 2 : 0, lists.tokens.size()));
  for (std::size_t i = 0; i < lists.tokens.size(); ++i) {
    PieceType type = lists.types[i];
    // Converters mark padding as unknown, too, and the unknown token as control.
    if (type == PieceType::unknown) type = PieceType::unused;
    if (static_cast<std::int32_t>(i) == unknown) type = PieceType::unknown;
    if (type == PieceType::byte) spec.byte_fallback = true;
    spec.pieces.push_back({lists.tokens[i], lists.scores[i], type});
  }
  CORBEL_ASSIGN(spec.add_dummy_prefix, header.get_bool("tokenizer.ggml.add_space_prefix", true));
  CORBEL_ASSIGN(spec.remove_extra_whitespaces, header.get_bool("tokenizer.ggml.remove_extra_whitespaces", sums));
  CORBEL_ASSIGN(spec.precompiled_charsmap, header.get_bytes("tokenizer.ggml.precompiled_charsmap"));
  return spec;
}

Result<Tokenizer> make_pieces(const GgufHeader& header, const Lists& lists, SentencePieceSpec::Kind kind) {
  CORBEL_ASSIGN(const SentencePieceSpec spec, make_spec(header, lists, kind));
  const bool sums = kind == SentencePieceSpec::Kind::unigram;
  const Defaults defaults = sums ? Defaults{.end = 1, .ends = true} : Defaults{.begin = 1, .end = 2, .begins = true};
  CORBEL_ASSIGN(Around around, read_around(header, lists.tokens.size(), defaults));
  const SentencePieceUse use{std::move(around.before), std::move(around.after), true, false};
  return make_sentencepiece_tokenizer(spec, use, header.source());
}

Result<Tokenizer> make_merged_pieces(const GgufHeader& header, const Lists& lists) {
  return make_pieces(header, lists, SentencePieceSpec::Kind::bpe);
}
Result<Tokenizer> make_summed_pieces(const GgufHeader& header, const Lists& lists) {
  return make_pieces(header, lists, SentencePieceSpec::Kind::unigram);
}

/// Control tokens are special; user-defined ones are found in text, too.
Json added_tokens(const Lists& lists) {
  Json added = Json::array();
  for (std::size_t i = 0; i < lists.tokens.size(); ++i) {
    const bool special = lists.types[i] == PieceType::control;
    if (!special && lists.types[i] != PieceType::user_defined) continue;
    added.push_back(
        {{"id", i}, {"content", std::string(lists.tokens[i])}, {"special", special}, {"normalized", false}});
  }
  return added;
}

Json around_stage(const Around& around, const Lists& lists) {
  Json single = Json::array();
  Json ids = Json::object();
  const auto add = [&](std::int32_t id) {
    const std::string text(lists.tokens[static_cast<std::size_t>(id)]);
    single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    ids[text] = {{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}};
  };
  for (const std::int32_t id : around.before) add(id);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  for (const std::int32_t id : around.after) add(id);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", single}, {"special_tokens", ids}};
}

Result<Vocabulary> make_vocabulary(std::span<const std::string_view> tokens) {
  Vocabulary vocabulary;
  vocabulary.reserve(tokens.size(), tokens.size() * 8);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    CORBEL_TRY(vocabulary.add(tokens[i], static_cast<std::int64_t>(i), "tokenizer.ggml.tokens"));
  }
  return vocabulary;
}

Result<Tokenizer> make_merged_bytes(const GgufHeader& header, const Lists& lists) {
  CORBEL_ASSIGN(const std::string_view pre, header.require_string("tokenizer.ggml.pre"));
  CORBEL_ASSIGN(GgufSplitting splitting, find_gguf_splitting(pre, header.source()));
  CORBEL_ASSIGN(const std::vector<std::string_view> merges, header.get_strings("tokenizer.ggml.merges"));
  CORBEL_ASSIGN(const Around around,
                read_around(header, lists.tokens.size(), {.begins = splitting.begins, .ends = splitting.ends}));
  Stages stages;
  stages.normalizer = std::move(splitting.normalizer);
  stages.pre_tokenizer = std::move(splitting.pre_tokenizer);
  CORBEL_ASSIGN(const bool prefix, header.get_bool("tokenizer.ggml.add_space_prefix", false));
  if (prefix) stages.pre_tokenizer["pretokenizers"].back()["add_prefix_space"] = true;
  stages.post_processor = around_stage(around, lists);
  stages.decoder = {{"type", "ByteLevel"}};
  stages.added_tokens = added_tokens(lists);
  return make_tokenizer(stages, header.source(), [&](const ModelContext&) -> Result<std::unique_ptr<TokenModel>> {
    CORBEL_ASSIGN(Vocabulary vocabulary, make_vocabulary(lists.tokens));
    auto model =
        std::make_unique<BpeModel>(std::move(vocabulary), BpeModel::Options{.ignore_merges = splitting.ignore_merges});
    model->reserve_merges(merges.size());
    for (const std::string_view merge : merges) {
      // The first character may be a space that is no separator: some vocabularies spell bytes as they are.
      const std::size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos) {
        return fail(Code::bad_file, cat(header.source(),
                                        ": \"tokenizer.ggml.merges\" must hold two tokens with one "
                                        "space between, found ",
                                        quote(merge)));
      }
      if (auto added = model->add_merge(merge.substr(0, space), merge.substr(space + 1)); !added) {
        return forward_failure(added, cat(header.source(), ": tokenizer.ggml.merges"));
      }
    }
    return Result<std::unique_ptr<TokenModel>>(std::move(model));
  });
}

/// Words start with U+2581 here, where the original marks what continues a word with "##".
std::vector<std::string> respell_word_pieces(const Lists& lists) {
  std::vector<std::string> spelled;
  spelled.reserve(lists.tokens.size());
  for (std::size_t i = 0; i < lists.tokens.size(); ++i) {
    const std::string_view token = lists.tokens[i];
    const bool bracketed = token.starts_with('[') && token.ends_with(']') && token.size() > 2;
    if (token.starts_with(kSpace)) {
      spelled.emplace_back(token.substr(kSpace.size()));
    } else if (bracketed || lists.types[i] == PieceType::control) {
      spelled.emplace_back(token);
    } else {
      spelled.push_back(cat("##", token));
    }
  }
  return spelled;
}

Result<Tokenizer> make_word_pieces(const GgufHeader& header, const Lists& lists) {
  const std::size_t count = lists.tokens.size();
  CORBEL_ASSIGN(const std::int32_t unknown, read_id(header, "unknown_token_id", 100, count));
  CORBEL_ASSIGN(const std::int32_t begin, read_id(header, "bos_token_id", 101, count));
  CORBEL_ASSIGN(const std::int32_t first, read_id(header, "cls_token_id", begin, count));
  CORBEL_ASSIGN(const std::int32_t last, read_id(header, "seperator_token_id", 102, count));
  CORBEL_ASSIGN(const bool begins, header.get_bool("tokenizer.ggml.add_bos_token", true));
  CORBEL_ASSIGN(const bool ends, header.get_bool("tokenizer.ggml.add_sep_token", true));
  const std::vector<std::string> owned = respell_word_pieces(lists);
  Lists spelled = lists;
  for (std::size_t i = 0; i < count; ++i) spelled.tokens[i] = owned[i];
  Around around;
  if (begins && first >= 0) around.before.push_back(first);
  if (ends && last >= 0) around.after.push_back(last);
  CORBEL_ASSIGN(const std::int32_t padding, read_id(header, "padding_token_id", 0, count));
  CORBEL_ASSIGN(const std::int32_t mask, read_id(header, "mask_token_id", 103, count));
  for (const std::int32_t id : {unknown, first, last, padding, mask}) {
    if (id >= 0) spelled.types[static_cast<std::size_t>(id)] = PieceType::control;
  }
  Stages stages;
  stages.normalizer = {{"type", disk_names::kWordPieceNormalizer},
                       {"clean_text", true},
                       {"handle_chinese_chars", true},
                       {"strip_accents", nullptr},
                       {"lowercase", true}};
  stages.pre_tokenizer = {{"type", disk_names::kWordPiecePreTokenizer}};
  stages.post_processor = around_stage(around, spelled);
  stages.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  stages.added_tokens = added_tokens(spelled);
  return make_tokenizer(stages, header.source(), [&](const ModelContext&) -> Result<std::unique_ptr<TokenModel>> {
    CORBEL_ASSIGN(Vocabulary vocabulary, make_vocabulary(spelled.tokens));
    WordPieceModel::Options options;
    options.unknown_id = unknown;
    CORBEL_ASSIGN(auto model, WordPieceModel::make(std::move(vocabulary), options));
    return Result<std::unique_ptr<TokenModel>>(std::move(model));
  });
}

Result<Tokenizer> make_longest_match(const GgufHeader& header, const Lists& lists) {
  std::vector<bool> matched;
  for (const PieceType type : lists.types) matched.push_back(type == PieceType::normal);
  return make_literal_tokenizer(lists.tokens, matched, header.source());
}

struct ModelKind {
  std::string_view name;
  Result<Tokenizer> (*make)(const GgufHeader& header, const Lists& lists);
};
constexpr ModelKind kModels[] = {
    {disk_names::kGgufScoredMerges, make_merged_pieces}, {disk_names::kGgufByteMerges, make_merged_bytes},
    {disk_names::kGgufWordPieces, make_word_pieces},     {disk_names::kGgufScoredSums, make_summed_pieces},
    {disk_names::kGgufLongestMatch, make_longest_match},
};

}  // namespace

Result<Tokenizer> read_gguf_tokenizer(const GgufHeader& header) {
  CORBEL_ASSIGN(const std::string_view name, header.require_string("tokenizer.ggml.model"));
  std::string known;
  for (const ModelKind& kind : kModels) {
    known += cat(known.empty() ? "\"" : ", \"", kind.name, "\"");
    if (kind.name != name) continue;
    CORBEL_ASSIGN(const Lists lists, read_lists(header));
    return kind.make(header, lists);
  }
  return fail(Code::unsupported,
              cat(header.source(), ": \"tokenizer.ggml.model\" is ", quote(name), "; known: ", known));
}

}  // namespace corbel
