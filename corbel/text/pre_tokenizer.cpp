#include "corbel/text/pre_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/disk_names.h"
#include "corbel/text/component.h"
#include "corbel/text/pre_tokenizer_stages.h"
#include "corbel/text/replacer.h"
#include "corbel/text/stage_chars.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<PreTokenizer>>;

/// Cuts every piece once more by a pattern.
class Split final : public PieceCutter {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

 private:
  Result<void> split(std::string_view text, std::uint32_t base, std::vector<Span>& cut) const override {
    return pattern_.split(text, base, behavior_, invert_, cut);
  }

  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

/// Puts a space in front of pieces without one.
class PrefixSpace final : public PreTokenizer {
 public:
  Result<void> cut(Pieces& pieces) const override {
    std::string rewritten;
    pieces.at_start = pieces.at_start && !pieces.spans.empty() && pieces.spans.front().begin == 0;
    for (Span& span : pieces.spans) {
      const std::string_view text = pieces.text.substr(span.begin, span.end - span.begin);
      span.begin = static_cast<std::uint32_t>(rewritten.size());
      if (text.front() != ' ') rewritten.push_back(' ');
      rewritten.append(text);
      span.end = static_cast<std::uint32_t>(rewritten.size());
    }
    pieces.rewritten = std::move(rewritten);
    pieces.text = pieces.rewritten;
    return {};
  }
  bool rewrites() const noexcept override { return true; }
};

class BytesAsChars final : public PreTokenizer {
 public:
  Result<void> cut(Pieces& pieces) const override {
    pieces.bytes_as_chars = true;
    return {};
  }
  bool makes_bytes() const noexcept override { return true; }
  bool rewrites() const noexcept override { return true; }
};

class SequencePreTokenizer final : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<std::unique_ptr<PreTokenizer>> stages) : stages_(std::move(stages)) {}

  Result<void> cut(Pieces& pieces) const override {
    for (const auto& stage : stages_) CORBEL_TRY(stage->cut(pieces));
    return {};
  }
  bool asks_for_start() const noexcept override { return any(&PreTokenizer::asks_for_start); }
  bool makes_bytes() const noexcept override { return any(&PreTokenizer::makes_bytes); }
  bool rewrites() const noexcept override { return any(&PreTokenizer::rewrites); }

 private:
  bool any(bool (PreTokenizer::*has)() const noexcept) const noexcept {
    return std::any_of(stages_.begin(), stages_.end(), [has](const auto& stage) { return (*stage.*has)(); });
  }

  std::vector<std::unique_ptr<PreTokenizer>> stages_;
};

std::unique_ptr<PreTokenizer> split_at(Pattern::CharTest test, SplitBehavior behavior) {
  return std::make_unique<Split>(Pattern::from_chars(test), behavior, false);
}

Made make_byte_level(const JsonFields& fields) {
  CORBEL_ASSIGN(const bool prefix_space, fields.get_bool("add_prefix_space", true));
  CORBEL_ASSIGN(const bool use_regex, fields.get_bool("use_regex", true));
  std::vector<std::unique_ptr<PreTokenizer>> stages;
  if (prefix_space) stages.push_back(std::make_unique<PrefixSpace>());
  if (use_regex) {
    CORBEL_ASSIGN(Pattern pattern, Pattern::from_regex(kByteLevelRegex));
    stages.push_back(std::make_unique<Split>(std::move(pattern), SplitBehavior::isolated, false));
  }
  stages.push_back(std::make_unique<BytesAsChars>());
  return Made(std::make_unique<SequencePreTokenizer>(std::move(stages)));
}

Made make_split(const JsonFields& fields) {
  CORBEL_ASSIGN(PatternField field, read_pattern(fields));
  CORBEL_ASSIGN(const std::string behavior_name, fields.require_string("behavior"));
  auto behavior = parse_split_behavior(behavior_name, fields.field_name("behavior"));
  if (!behavior) return forward_failure(behavior, fields.source());
  CORBEL_ASSIGN(const bool invert, fields.get_bool("invert", false));
  if (!field.is_regex && !field.text.empty()) {
    return Made(std::make_unique<Split>(Pattern::from_literal(std::move(field.text)), *behavior, invert));
  }
  auto pattern = Pattern::from_regex(field.text);  // an empty literal matches everywhere, as an empty regex does
  if (!pattern) return forward_failure(pattern, cat(fields.source(), ": ", fields.field_name("pattern")));
  return Made(std::make_unique<Split>(*std::move(pattern), *behavior, invert));
}

Made make_digits(const JsonFields& fields) {
  CORBEL_ASSIGN(const bool individual, fields.get_bool("individual_digits", false));
  return split_at(stage_chars::is_number, individual ? SplitBehavior::isolated : SplitBehavior::contiguous);
}

Made make_punctuation(const JsonFields& fields) {
  CORBEL_ASSIGN(const std::string name, fields.get_string("behavior", "Isolated"));
  auto behavior = parse_split_behavior(name, fields.field_name("behavior"));
  if (!behavior) return forward_failure(behavior, fields.source());
  return split_at(stage_chars::is_punctuation, *behavior);
}

Made make_whitespace_split(const JsonFields&) { return split_at(is_space, SplitBehavior::removed); }

Made make_words_and_punctuation(const JsonFields&) {
  std::vector<std::unique_ptr<PreTokenizer>> stages;
  stages.push_back(split_at(is_space, SplitBehavior::removed));
  stages.push_back(split_at(stage_chars::is_punctuation, SplitBehavior::isolated));
  return Made(std::make_unique<SequencePreTokenizer>(std::move(stages)));
}

Made make_char_delimiter(const JsonFields& fields) {
  CORBEL_ASSIGN(std::string delimiter, read_char(fields, "delimiter", ""));
  return Made(std::make_unique<Split>(Pattern::from_literal(std::move(delimiter)), SplitBehavior::removed, false));
}

Made make_sequence(const JsonFields& fields) {
  CORBEL_ASSIGN(auto stages, make_components<PreTokenizer>(make_pre_tokenizer, fields, "pretokenizers"));
  bool bytes = false;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (bytes && stages[i]->rewrites()) {
      return fail(Code::unsupported, cat(fields.source(), ": \"", fields.field_name(cat("pretokenizers[", i, "]")),
                                         "\" rewrites the text behind \"ByteLevel\", which is not supported"));
    }
    bytes = bytes || stages[i]->makes_bytes();
  }
  return Made(std::make_unique<SequencePreTokenizer>(std::move(stages)));
}

constexpr ComponentKind<PreTokenizer> kPreTokenizers[] = {
    {"ByteLevel", make_byte_level},
    {"Split", make_split},
    {"Metaspace", make_metaspace_pre_tokenizer},
    {"Digits", make_digits},
    {"Punctuation", make_punctuation},
    {"Whitespace", make_whitespace_pre_tokenizer},
    {"WhitespaceSplit", make_whitespace_split},
    {disk_names::kWordPiecePreTokenizer, make_words_and_punctuation},
    {"CharDelimiterSplit", make_char_delimiter},
    {"UnicodeScripts", make_unicode_scripts_pre_tokenizer},
    {"FixedLength", make_fixed_length_pre_tokenizer},
    {"Sequence", make_sequence}};

}  // namespace

Made make_pre_tokenizer(const JsonFields& fields) { return make_component<PreTokenizer>(kPreTokenizers, fields); }

}  // namespace corbel
