#include "corbel/text/vocab_merges.h"

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/disk_names.h"
#include "corbel/text/bpe_model.h"
#include "corbel/text/split_regexes.h"
#include "corbel/text/tokenizer_config.h"
#include "corbel/text/tokenizer_json.h"

namespace corbel {
namespace {

constexpr std::int64_t kMaxFileBytes = 256LL << 20;

/// Names on disk: what vocab.json + merges.txt leave out, by the "tokenizer_class" of tokenizer_config.json. An empty
/// regex is ByteLevel's own.
struct TokenizerClass {
  std::string_view name;
  std::string_view normalizer;  // a type, or empty
  std::string_view regex;
};
constexpr TokenizerClass kClasses[] = {
    {"", "", ""},
    {"PreTrainedTokenizerFast", "", ""},
    {"GPT2Tokenizer", "", ""},
    {"GPT2TokenizerFast", "", ""},
    {disk_names::kNfcSingleDigitTokenizer, "NFC", kSingleDigits},
    {disk_names::kNfcSingleDigitTokenizerFast, "NFC", kSingleDigits},
};

Result<TokenizerClass> find_class(const std::string& name, const std::string& source) {
  std::string known;
  for (const TokenizerClass& entry : kClasses) {
    if (entry.name == name) return entry;
    if (!entry.name.empty()) known += cat(known.empty() ? "\"" : ", \"", entry.name, "\"");
  }
  return fail(Code::unsupported, cat(source, ": \"tokenizer_class\" is \"", name, "\" and there is no tokenizer.json; ",
                                     "with vocab.json and merges.txt alone known: ", known));
}

Json byte_level(bool prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix_space}, {"use_regex", use_regex}};
}

/// The stages that tokenizer_config.json implies.
Result<Stages> implied_stages(const Json& config, const std::string& source) {
  Stages stages;
  const JsonFields fields(config, source);
  CORBEL_ASSIGN(const std::string name, fields.get_string("tokenizer_class", ""));
  CORBEL_ASSIGN(const TokenizerClass found, find_class(name, source));
  CORBEL_ASSIGN(const bool prefix_space, fields.get_bool("add_prefix_space", false));
  if (!found.normalizer.empty()) stages.normalizer = {{"type", std::string(found.normalizer)}};
  stages.pre_tokenizer = byte_level(prefix_space, found.regex.empty());
  if (!found.regex.empty()) {
    Json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
    split["pattern"] = {{"Regex", std::string(found.regex)}};
    Json sequence = {{"type", "Sequence"}};
    sequence["pretokenizers"] = Json::array({std::move(split), stages.pre_tokenizer});
    stages.pre_tokenizer = std::move(sequence);
  }
  stages.decoder = byte_level(false, false);
  stages.added_tokens = Json::array();
  if (fields.has("added_tokens_decoder")) {
    CORBEL_ASSIGN(stages.added_tokens, read_added_tokens_decoder(fields));
  }
  return stages;
}

}  // namespace

Result<void> read_merge_lines(std::string_view text, const std::string& source, BpeModel& model) {
  int line_number = 0;
  while (!text.empty()) {
    const std::size_t stop = text.find('\n');
    std::string_view line = text.substr(0, stop);
    text.remove_prefix(stop == std::string_view::npos ? text.size() : stop + 1);
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      return fail(Code::bad_file, cat(source, ":", line_number, ": must be two tokens with one space between, found \"",
                                      line.substr(0, 160), "\""));
    }
    if (auto added = model.add_merge(line.substr(0, space), line.substr(space + 1)); !added) {
      return forward_failure(added, cat(source, ":", line_number));
    }
  }
  return {};
}

Result<Tokenizer> load_vocab_and_merges(const NamedFiles& files) {
  std::string config_source;
  CORBEL_ASSIGN(const Json config, read_tokenizer_config(files, config_source));
  CORBEL_ASSIGN(const Stages stages, implied_stages(config, config_source));
  const std::string vocab_source = files.where("vocab.json");
  CORBEL_ASSIGN(const FileBytes vocab_file, files.require("vocab.json", kMaxFileBytes));
  ParsedJson vocab;
  CORBEL_TRY(vocab.parse(vocab_file.text(), vocab_source));
  const std::string merges_source = files.where("merges.txt");
  CORBEL_ASSIGN(const FileBytes merges_file, files.require("merges.txt", kMaxFileBytes));
  return make_tokenizer(stages, files.description(), [&](const ModelContext&) -> Result<std::unique_ptr<TokenModel>> {
    CORBEL_ASSIGN(Vocabulary tokens, read_vocabulary(vocab.object(), vocab_source, "vocab"));
    auto model = std::make_unique<BpeModel>(std::move(tokens), BpeModel::Options{});
    CORBEL_TRY(read_merge_lines(merges_file.text(), merges_source, *model));
    return Result<std::unique_ptr<TokenModel>>(std::move(model));
  });
}

}  // namespace corbel
