#include "corbel/text/pre_tokenizer.h"

#include <nlohmann/json.hpp>

#include "corbel/text/byte_chars.h"
#include "corbel/text/component.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<PreTokenizer>>;

/// Cuts every piece once more.
class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  Result<void> cut(Pieces& pieces) const override {
    std::vector<Span> cut;
    cut.reserve(pieces.spans.size() + pieces.text.size() / 4);  // about 4.5 bytes per piece in ordinary text
    std::string spelled;
    for (const Span span : pieces.spans) {
      const std::string_view text = pieces.text.substr(span.begin, span.end - span.begin);
      if (!pieces.bytes_as_chars) {
        CORBEL_TRY(pattern_.split(text, span.begin, behavior_, invert_, cut));
        continue;
      }
      const std::size_t first = cut.size();
      spelled.clear();
      append_spelled(spelled, text);
      CORBEL_TRY(pattern_.split(spelled, 0, behavior_, invert_, cut));
      bytes_of_chars(spelled, span.begin, cut, first);
    }
    pieces.spans = std::move(cut);
    return {};
  }

 private:
  /// Turns offsets into the spelling (ascending) into offsets of the bytes it spells: one byte per character.
  static void bytes_of_chars(std::string_view spelled, std::uint32_t base, std::vector<Span>& spans,
                             std::size_t first) {
    std::uint32_t at = 0;
    std::uint32_t byte = base;
    const auto byte_at = [&](std::uint32_t offset) {
      for (; at < offset; ++byte) at += utf8_at(spelled.data() + at).bytes;
      return byte;
    };
    for (std::size_t i = first; i < spans.size(); ++i) {
      spans[i].begin = byte_at(spans[i].begin);
      spans[i].end = byte_at(spans[i].end);
    }
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
};

class BytesAsChars final : public PreTokenizer {
 public:
  Result<void> cut(Pieces& pieces) const override {
    pieces.bytes_as_chars = true;
    return {};
  }
};

class SequencePreTokenizer final : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<std::unique_ptr<PreTokenizer>> stages) : stages_(std::move(stages)) {}

  Result<void> cut(Pieces& pieces) const override {
    for (const auto& stage : stages_) CORBEL_TRY(stage->cut(pieces));
    return {};
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> stages_;
};

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
  if (!fields.has("pattern")) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("pattern"), "\" is missing"));
  }
  CORBEL_ASSIGN(const JsonFields pattern_fields, fields.object("pattern"));
  CORBEL_ASSIGN(const std::string regex, pattern_fields.get_string("Regex", ""));
  CORBEL_ASSIGN(const std::string literal, pattern_fields.get_string("String", ""));
  if (regex.empty() == literal.empty()) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("pattern"),
                                    "\" must have either \"Regex\" or \"String\", and it must not be empty"));
  }
  CORBEL_ASSIGN(const std::string behavior_name, fields.require_string("behavior"));
  auto behavior = parse_split_behavior(behavior_name, fields.field_name("behavior"));
  if (!behavior) return forward_failure(behavior, fields.source());
  CORBEL_ASSIGN(const bool invert, fields.get_bool("invert", false));
  if (!literal.empty()) {
    return Made(std::make_unique<Split>(Pattern::from_literal(literal), *behavior, invert));
  }
  auto pattern = Pattern::from_regex(regex);
  if (!pattern) return forward_failure(pattern, cat(fields.source(), ": ", fields.field_name("pattern")));
  return Made(std::make_unique<Split>(*std::move(pattern), *behavior, invert));
}

Made make_digits(const JsonFields& fields) {
  CORBEL_ASSIGN(const bool individual, fields.get_bool("individual_digits", false));
  return Made(std::make_unique<Split>(Pattern::from_chars(is_number),
                                      individual ? SplitBehavior::isolated : SplitBehavior::contiguous, false));
}

bool is_punctuation_or_ascii_symbol(char32_t code) noexcept {
  const bool ascii = (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
                     (code >= '{' && code <= '~');
  return ascii || is_punctuation(code);
}

Made make_punctuation(const JsonFields& fields) {
  CORBEL_ASSIGN(const std::string name, fields.get_string("behavior", "Isolated"));
  auto behavior = parse_split_behavior(name, fields.field_name("behavior"));
  if (!behavior) return forward_failure(behavior, fields.source());
  return Made(std::make_unique<Split>(Pattern::from_chars(is_punctuation_or_ascii_symbol), *behavior, false));
}

Made make_sequence(const JsonFields& fields) {
  CORBEL_ASSIGN(auto stages, make_components<PreTokenizer>(make_pre_tokenizer, fields, "pretokenizers"));
  return Made(std::make_unique<SequencePreTokenizer>(std::move(stages)));
}

constexpr ComponentKind<PreTokenizer> kPreTokenizers[] = {{"ByteLevel", make_byte_level},
                                                          {"Split", make_split},
                                                          {"Digits", make_digits},
                                                          {"Punctuation", make_punctuation},
                                                          {"Sequence", make_sequence}};

}  // namespace

Made make_pre_tokenizer(const JsonFields& fields) { return make_component<PreTokenizer>(kPreTokenizers, fields); }

}  // namespace corbel
