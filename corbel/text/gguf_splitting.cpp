#include "corbel/text/gguf_splitting.h"

#include <nlohmann/json.hpp>
#include <span>

#include "corbel/base/cat.h"
#include "corbel/base/disk_names.h"
#include "corbel/base/quote.h"
#include "corbel/text/split_regexes.h"
#include "corbel/text/splitter.h"

namespace corbel {
namespace {

constexpr std::string_view kCasedWordsSingleDigits =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBlankWords =
    " ?[^(\\s|.,!?\xE2\x80\xA6\xE3\x80\x82\xEF\xBC\x8C\xE3\x80\x81\xE0\xA5\xA4\xDB\x94\xD8\x8C)]+";
// Ideographs, kana: U+4E00 to U+9FA5, U+3040 to U+309F, U+30A0 to U+30FF.
constexpr std::string_view kIdeographsAndKana =
    "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+";
// U+4E00 to U+9FA5, U+0800 to U+4E00, U+AC00 to U+D7FF.
constexpr std::string_view kWideScripts =
    "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+";
constexpr std::string_view kPunctuatedWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kEachDigit = "digits:each";
constexpr std::string_view kDigitRuns = "digits:runs";
constexpr std::string_view kPunctuationRuns = "punctuation";
constexpr std::string_view kBytes = "bytes";           // bytes as they are
constexpr std::string_view kByteWords = "byte_words";  // bytes behind ByteLevel's own regex

/// Each step is one of the words above or a regex whose matches stand alone.
constexpr std::string_view kWordsAndNumbersSteps[] = {kByteWords};
constexpr std::string_view kWordsAndDigitsSteps[] = {kEachDigit, kByteWords};
constexpr std::string_view kThreeDigitsSteps[] = {kThreeDigits, kBytes};
constexpr std::string_view kSingleDigitsSteps[] = {kSingleDigits, kBytes};
constexpr std::string_view kPunctuationAndThreesSteps[] = {kPunctuationRuns, kByteWords, kDigitRuns, "[0-9][0-9][0-9]"};
constexpr std::string_view kScriptsAndDigitsSteps[] = {"[\r\n]",     R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                                       kWideScripts, kEachDigit,     kBytes};
constexpr std::string_view kScriptsAndThreesSteps[] = {R"(\p{N}{1,3})", kIdeographsAndKana, kPunctuatedWords, kBytes};
constexpr std::string_view kCasedWordsSteps[] = {kCasedWords, kBytes};
constexpr std::string_view kCasedWordsSingleDigitsSteps[] = {kCasedWordsSingleDigits, kBytes};
constexpr std::string_view kBlankWordsSteps[] = {kBlankWords, kBytes};
constexpr std::string_view kBlankWordsAndDigitsSteps[] = {kBlankWords, kEachDigit, kBytes};

struct Shape {
  std::string_view name;
  std::span<const std::string_view> steps;
  bool composes = false;  // NFC first
  bool ignore_merges = false;
  bool begins = false;
  bool ends = false;
};
constexpr Shape kShapes[] = {
    {"words_and_numbers", kWordsAndNumbersSteps},
    {.name = "words_and_numbers_separated", .steps = kWordsAndNumbersSteps, .ends = true},
    {"words_and_digits", kWordsAndDigitsSteps},
    {"three_digits", kThreeDigitsSteps},
    {.name = "three_digits_whole", .steps = kThreeDigitsSteps, .ignore_merges = true, .begins = true},
    {"single_digits", kSingleDigitsSteps},
    {.name = "single_digits_composed", .steps = kSingleDigitsSteps, .composes = true},
    {"punctuation_and_threes", kPunctuationAndThreesSteps},
    {"scripts_and_digits", kScriptsAndDigitsSteps},
    {"scripts_and_threes", kScriptsAndThreesSteps},
    {"cased_words", kCasedWordsSteps},
    {.name = "cased_words_single_digits", .steps = kCasedWordsSingleDigitsSteps, .ignore_merges = true, .begins = true},
    {"blank_words", kBlankWordsSteps},
    {"blank_words_and_digits", kBlankWordsAndDigitsSteps},
};

Json stage_of(std::string_view step) {
  if (step == kEachDigit) return {{"type", "Digits"}, {"individual_digits", true}};
  if (step == kDigitRuns) return {{"type", "Digits"}, {"individual_digits", false}};
  if (step == kPunctuationRuns) return {{"type", "Punctuation"}, {"behavior", "Contiguous"}};
  if (step == kBytes || step == kByteWords) {
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", step == kByteWords}};
  }
  Json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  split["pattern"] = {{"Regex", std::string(step)}};
  return split;
}

}  // namespace

Result<GgufSplitting> find_gguf_splitting(std::string_view name, const std::string& source) {
  std::string known;
  for (const disk_names::GgufSplitting& entry : disk_names::kGgufSplittings) {
    known += cat(known.empty() ? "" : ", ", entry.name);
    if (entry.name != name) continue;
    for (const Shape& shape : kShapes) {
      if (shape.name != entry.shape) continue;
      GgufSplitting splitting;
      if (shape.composes) splitting.normalizer = {{"type", "NFC"}};
      splitting.pre_tokenizer = {{"type", "Sequence"}};
      Json& stages = splitting.pre_tokenizer["pretokenizers"] = Json::array();
      for (const std::string_view step : shape.steps) stages.push_back(stage_of(step));
      splitting.ignore_merges = shape.ignore_merges;
      splitting.begins = shape.begins;
      splitting.ends = shape.ends;
      return splitting;
    }
    CORBEL_CHECK(false, "disk_names.h names the shape ", entry.shape, ", which gguf_splitting.cpp lacks");
  }
  return fail(Code::unsupported,
              cat(source, ": \"tokenizer.ggml.pre\" is ", quote(name),
                  ", and the file does not hold its regex; known: ", known, " (corbel/base/disk_names.h)"));
}

}  // namespace corbel
