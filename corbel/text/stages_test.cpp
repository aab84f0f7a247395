#include <gtest/gtest.h>

#include "corbel/text/byte_chars.h"
#include "corbel/text/decoder.h"
#include "corbel/text/normalizer.h"
#include "corbel/text/post_processor.h"
#include "corbel/text/pre_tokenizer.h"
#include "corbel/text/test_data.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using nlohmann::ordered_json;

ordered_json normalized(const ordered_json& config, const std::string& text) {
  const auto stage = make_normalizer(JsonFields(config, "t.json", "normalizer"));
  if (!stage) return stage.error().message;
  std::string out;
  const auto changed = (*stage)->normalize(text, out);
  if (!changed) return changed.error().message;
  return *changed ? out : text;
}

ordered_json cut(const ordered_json& config, const std::string& text) {
  const auto stage = make_pre_tokenizer(JsonFields(config, "t.json", "pre_tokenizer"));
  if (!stage) return stage.error().message;
  Pieces pieces;
  pieces.text = text;
  if (!text.empty()) pieces.spans.push_back({0, static_cast<std::uint32_t>(text.size())});
  if (const auto done = (*stage)->cut(pieces); !done) return done.error().message;
  ordered_json out = ordered_json::array();
  for (const Span span : pieces.spans) {
    const std::string_view piece = pieces.text.substr(span.begin, span.end - span.begin);
    std::string spelled;
    if (pieces.bytes_as_chars) append_spelled(spelled, piece);
    out.push_back(pieces.bytes_as_chars ? spelled : std::string(piece));
  }
  return out;
}

Result<std::unique_ptr<Decoder>> decoder_of(const ordered_json& config) {
  if (config.is_null()) return make_joining_decoder();
  return make_decoder(JsonFields(config, "t.json", "decoder"));
}

/// Every token in parts of at most `part` bytes, cut at characters.
std::string decoded(const Decoder& decoder, const std::vector<std::string>& tokens, std::size_t part) {
  DecodedBytes end;
  const auto run = decoder.start(end);
  for (const std::string& token : tokens) {
    std::string_view left = token;
    while (left.size() > part) {
      std::size_t bytes = 0;
      while (bytes == 0 || (bytes < part && bytes < left.size())) bytes += utf8_at(left.data() + bytes).bytes;
      run->push(left.substr(0, bytes), false);
      left.remove_prefix(bytes);
    }
    run->push(left, true);
  }
  run->finish();
  return replace_invalid_utf8(end.bytes);
}

ordered_json processed(const ordered_json& config) {
  const auto stage = make_post_processor(JsonFields(config, "t.json", "post_processor"), 100);
  if (!stage) return stage.error().message;
  return ordered_json::array({stage->before, stage->after});
}

std::vector<ordered_json> goldens(std::string_view stage) {
  std::vector<ordered_json> rows;
  for (auto& row :
       test_data::read_lines(std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel/text/goldens/stages.jsonl")) {
    if (row.value("stage", "") == stage) rows.push_back(std::move(row));
  }
  EXPECT_GE(rows.size(), 9U);
  return rows;
}

template <typename Check>
void for_each_golden(std::string_view stage, const Check& check) {
  for (const ordered_json& row : goldens(stage)) {
    ASSERT_EQ(row["in"].size(), row["out"].size());
    for (std::size_t i = 0; i < row["in"].size(); ++i) check(row, i);
  }
}

TEST(Stages, NormalizersGiveTheRecordedTexts) {
  for_each_golden("normalizer", [](const ordered_json& row, std::size_t i) {
    EXPECT_EQ(normalized(row["config"], row["in"][i]).dump(), row["out"][i].dump())
        << row["config"] << ' ' << row["in"][i];
  });
}

TEST(Stages, PreTokenizersGiveTheRecordedPieces) {
  for_each_golden("pre_tokenizer", [](const ordered_json& row, std::size_t i) {
    EXPECT_EQ(cut(row["config"], row["in"][i]).dump(), row["out"][i].dump()) << row["config"] << ' ' << row["in"][i];
  });
}

TEST(Stages, DecodersGiveTheRecordedTextsInOnePieceOrInMany) {
  for_each_golden("decoder", [](const ordered_json& row, std::size_t i) {
    const auto decoder = decoder_of(row["config"]);
    ASSERT_TRUE(decoder.has_value()) << decoder.error().message;
    for (const std::size_t part : {100, 1, 3}) {
      EXPECT_EQ(ordered_json(decoded(**decoder, row["in"][i], part)).dump(), row["out"][i].dump())
          << row["config"] << ' ' << row["in"][i] << " in parts of " << part;
    }
  });
}

TEST(Stages, PostProcessorsPutTheRecordedIdsAround) {
  for_each_golden("post_processor", [](const ordered_json& row, std::size_t) {
    EXPECT_EQ(processed(row["config"]).dump(), row["out"][0].dump()) << row["config"];
  });
}

std::string refusal(std::string_view stage, const ordered_json& config) {
  const auto message = [](const auto& made) { return made ? std::string("not refused") : made.error().message; };
  const JsonFields fields(config, "t.json", std::string(stage));
  if (stage == "normalizer") return message(make_normalizer(fields));
  if (stage == "pre_tokenizer") return message(make_pre_tokenizer(fields));
  if (stage == "decoder") return message(make_decoder(fields));
  return message(make_post_processor(fields, 100));
}

TEST(Stages, AMalformedDescriptionIsRefusedNamingTheField) {
  const struct {
    const char* stage;
    const char* config;
    const char* named;
  } cases[] = {
      {"normalizer", R"({"type": "Prepend"})", "\"normalizer.prepend\""},
      {"normalizer", R"({"type": "Replace", "content": ""})", "\"normalizer.pattern\" is missing"},
      {"normalizer", R"({"type": "Replace", "pattern": {"Glob": "*"}, "content": ""})",
       "either \"Regex\" or \"String\""},
      {"normalizer", R"({"type": "Replace", "pattern": {"Regex": "a("}, "content": ""})", "does not compile"},
      {"normalizer", R"({"type": "Replace", "pattern": {"String": "a"}})", "\"normalizer.content\""},
      {"normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "AA=A"})", "is not base64"},
      {"normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "/////w=="})", "its trie has"},
      {"normalizer", R"({"type": "BertNormalizer", "strip_accents": 3})", "\"normalizer.strip_accents\""},
      {"normalizer", R"({"type": "Sequence", "normalizers": [{"type": "Q"}]})", "\"normalizer.normalizers[0].type\""},
      {"pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})", "\"pre_tokenizer.replacement\" must be one"},
      {"pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})", "\"last\""},
      {"pre_tokenizer",
       R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "add_prefix_space": false})",
       "\"pre_tokenizer.add_prefix_space\""},
      {"pre_tokenizer", R"({"type": "Punctuation", "behavior": "Shredded"})", "\"Shredded\""},
      {"pre_tokenizer", R"({"type": "CharDelimiterSplit"})", "\"pre_tokenizer.delimiter\""},
      {"pre_tokenizer", R"({"type": "FixedLength", "length": 0})", "\"pre_tokenizer.length\""},
      {"pre_tokenizer",
       R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Metaspace", "replacement": "_"}]})",
       "behind \"ByteLevel\""},
      {"decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", "\"decoder.start\""},
      {"decoder", R"({"type": "Strip", "content": "", "start": 0, "stop": 0})", "\"decoder.content\""},
      {"decoder", R"({"type": "Metaspace"})", "\"decoder.replacement\""},
      {"decoder", R"({"type": "Sequence", "decoders": 3})", "\"decoder.decoders\" must be an array"},
      {"post_processor", R"({"type": "BertProcessing", "cls": ["c", 1]})", "\"post_processor.sep\""},
      {"post_processor", R"({"type": "BertProcessing", "cls": ["c", 100], "sep": ["s", 1]})", "below 100"},
      {"post_processor", R"({"type": "RobertaProcessing", "cls": ["c", -1], "sep": ["s", 1]})", "below 100"},
  };
  for (const auto& test : cases) {
    EXPECT_NE(refusal(test.stage, ordered_json::parse(test.config)).find(test.named), std::string::npos)
        << test.config << ": " << refusal(test.stage, ordered_json::parse(test.config));
  }
}

TEST(Stages, LongRunsOfOneCharacterPassEveryStage) {
  // Quadratic work would show: the rows are hundreds, and each would take seconds.
  constexpr std::size_t kBytes = 1 << 16;
  for (const std::string_view unit : {"a", " ", "\xCC\x81", "\xE0\xA4\x95", "<0xE4>"}) {
    std::string text;
    std::vector<std::string> tokens;
    while (text.size() < kBytes) text += unit;
    while (tokens.size() < kBytes / 16) tokens.emplace_back(unit);
    for (const ordered_json& row : goldens("normalizer")) EXPECT_TRUE(normalized(row["config"], text).is_string());
    for (const ordered_json& row : goldens("pre_tokenizer")) EXPECT_TRUE(cut(row["config"], text).is_array());
    for (const ordered_json& row : goldens("decoder")) {
      const auto decoder = decoder_of(row["config"]);
      EXPECT_LT(decoded(**decoder, tokens, 100).size(), 8 * kBytes);
      EXPECT_LT(decoded(**decoder, {text}, 7).size(), 8 * kBytes);
    }
  }
}

}  // namespace
}  // namespace corbel
