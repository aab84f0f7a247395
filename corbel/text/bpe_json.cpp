#include <simdjson.h>

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/bpe_model.h"
#include "corbel/text/tokenizer_json.h"

namespace corbel {
namespace {

using simdjson::dom::element;

constexpr std::size_t kMergesAtOnce = 128;

Result<void> read_merges(const simdjson::dom::array& merges, const std::string& source, BpeModel& model) {
  model.reserve_merges(merges.size());
  std::size_t index = 0;
  std::vector<BpeModel::TokenPair> batch;
  const auto flush = [&]() -> Result<void> {
    auto added = model.add_merges(batch);
    batch.clear();
    if (!added) return forward_failure(added, cat(source, ": model.merges"));
    return {};
  };
  for (const element merge : merges) {
    const auto field = [&] { return cat("model.merges[", index, "]"); };
    std::string_view left;
    std::string_view right;
    std::string_view line;
    if (merge.get(line) == simdjson::SUCCESS) {
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        return fail(Code::bad_file,
                    cat(source, ": \"", field(), "\" must be two tokens with one space between, found \"",
                        line.substr(0, 160), "\""));
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else {
      simdjson::dom::array pair;
      if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 || pair.at(0).get(left) != simdjson::SUCCESS ||
          pair.at(1).get(right) != simdjson::SUCCESS) {
        return wrong_type(source, field(), "a string or an array of two strings", merge);
      }
    }
    batch.push_back({left, right});
    ++index;
    if (batch.size() < kMergesAtOnce) continue;
    CORBEL_TRY(flush());
  }
  return flush();
}

Result<void> read_bpe_options(const simdjson::dom::object& model, const std::string& source,
                              const Vocabulary& vocabulary, BpeModel::Options& options) {
  Json small = Json::object();
  for (const auto& [key, value] : model) {
    if (key == "vocab" || key == "merges") continue;
    CORBEL_ASSIGN(small[std::string(key)], to_json(value, source));
  }
  const JsonFields fields(small, source, "model");
  CORBEL_ASSIGN(const double dropout, fields.get_number("dropout", 0));
  if (dropout != 0) {
    return fail(Code::unsupported, cat(source, ": \"model.dropout\" is ", dropout,
                                       ", which is not supported: it makes encoding random; set it to null"));
  }
  CORBEL_ASSIGN(options.continuing_prefix, fields.get_string("continuing_subword_prefix", ""));
  CORBEL_ASSIGN(options.end_suffix, fields.get_string("end_of_word_suffix", ""));
  CORBEL_ASSIGN(options.byte_fallback, fields.get_bool("byte_fallback", false));
  CORBEL_ASSIGN(options.fuse_unknown, fields.get_bool("fuse_unk", false));
  CORBEL_ASSIGN(options.ignore_merges, fields.get_bool("ignore_merges", false));
  CORBEL_ASSIGN(const std::string unknown, fields.get_string("unk_token", ""));
  if (!unknown.empty()) {
    options.unknown_id = vocabulary.find(unknown);
    if (options.unknown_id == kNoToken) {
      return fail(Code::bad_file,
                  cat(source, ": \"model.unk_token\" is \"", unknown, "\", which \"model.vocab\" lacks"));
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TokenModel>> read_bpe(const simdjson::dom::object& model, const ModelContext& context) {
  simdjson::dom::object vocab;
  if (model["vocab"].get(vocab) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(context.source, ": \"model.vocab\" must be an object of tokens and ids"));
  }
  simdjson::dom::array merges;
  if (model["merges"].get(merges) != simdjson::SUCCESS) {
    return fail(Code::bad_file, cat(context.source, ": \"model.merges\" must be an array"));
  }
  Vocabulary vocabulary;
  if (context.tables != nullptr) {
    CORBEL_ASSIGN(vocabulary, Vocabulary::load(*context.tables));
  } else {
    CORBEL_ASSIGN(vocabulary, read_vocabulary(vocab, context.source, "model.vocab"));
  }
  BpeModel::Options options;
  options.alphabet = context.bytes_as_chars ? BpeModel::Alphabet::bytes : BpeModel::Alphabet::characters;
  CORBEL_TRY(read_bpe_options(model, context.source, vocabulary, options));
  if (context.tables != nullptr) {
    CORBEL_ASSIGN(std::unique_ptr<BpeModel> loaded, BpeModel::load(*context.tables, std::move(vocabulary), options));
    return Result<std::unique_ptr<TokenModel>>(std::move(loaded));
  }
  auto made = std::make_unique<BpeModel>(std::move(vocabulary), options);
  CORBEL_TRY(read_merges(merges, context.source, *made));
  return Result<std::unique_ptr<TokenModel>>(std::move(made));
}

}  // namespace corbel
