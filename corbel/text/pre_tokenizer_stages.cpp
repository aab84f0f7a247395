#include "corbel/text/pre_tokenizer_stages.h"

#include "corbel/text/byte_chars.h"
#include "corbel/text/metaspace.h"
#include "corbel/text/stage_chars.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<PreTokenizer>>;

/// Turns offsets into the spelling (ascending) into offsets of the bytes it spells: one byte per character.
void bytes_of_chars(std::string_view spelled, std::uint32_t base, std::vector<Span>& spans, std::size_t first) {
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

/// Spells spaces by a visible character, puts one in front where the scheme says so, and cuts before every one.
class MetaspacePreTokenizer final : public PreTokenizer {
 public:
  explicit MetaspacePreTokenizer(Metaspace settings) : settings_(std::move(settings)) {}

  Result<void> cut(Pieces& pieces) const override {
    std::string rewritten;
    rewritten.reserve(pieces.text.size() + pieces.text.size() / 2);
    std::vector<Span> cut;
    cut.reserve(pieces.spans.size() + (settings_.split ? pieces.text.size() / 4 : 0));
    for (const Span span : pieces.spans) {
      const bool first = pieces.at_start && span.begin == 0;
      rewrite(pieces.text.substr(span.begin, span.end - span.begin), first, rewritten, cut);
    }
    pieces.at_start = pieces.at_start && !pieces.spans.empty() && pieces.spans.front().begin == 0;
    pieces.rewritten = std::move(rewritten);
    pieces.text = pieces.rewritten;
    pieces.spans = std::move(cut);
    return {};
  }
  bool asks_for_start() const noexcept override { return settings_.prepend == PrependScheme::first; }
  bool rewrites() const noexcept override { return true; }

 private:
  void rewrite(std::string_view text, bool first, std::string& out, std::vector<Span>& cut) const {
    const std::string& mark = settings_.replacement;
    const auto size = [&out] { return static_cast<std::uint32_t>(out.size()); };
    std::uint32_t begin = size();
    const bool marked = text.front() == ' ' || text.starts_with(mark);
    const bool prepends =
        settings_.prepend == PrependScheme::always || (settings_.prepend == PrependScheme::first && first);
    if (prepends && !marked) out.append(mark);
    const auto end_piece = [&] {
      if (size() > begin) cut.push_back({begin, size()});
      begin = size();
    };
    for (std::size_t at = 0; at < text.size();) {
      // A mark in the text counts as a space does.
      const bool space = text[at] == ' ';
      if (space || (text[at] == mark[0] && text.substr(at).starts_with(mark))) {
        if (settings_.split) end_piece();
        out.append(mark);
        at += space ? 1 : mark.size();
        continue;
      }
      out.push_back(text[at++]);
    }
    end_piece();
  }

  Metaspace settings_;
};

/// \w+|[^\w\s]+
class Whitespace final : public PieceCutter {
  Result<void> split(std::string_view text, std::uint32_t base, std::vector<Span>& cut) const override {
    enum class Kind { space, word, other };
    const auto kind_of = [](char32_t code) {
      if (is_space(code)) return Kind::space;
      return stage_chars::is_word(code) ? Kind::word : Kind::other;
    };
    Kind kind = Kind::space;
    std::uint32_t begin = 0;
    const auto size = static_cast<std::uint32_t>(text.size());
    for (std::uint32_t at = 0; at < size;) {
      const Utf8Char c = utf8_at(text.data() + at);
      if (const Kind now = kind_of(c.code); now != kind) {
        if (kind != Kind::space) cut.push_back({base + begin, base + at});
        begin = at;
        kind = now;
      }
      at += c.bytes;
    }
    if (kind != Kind::space) cut.push_back({base + begin, base + size});
    return {};
  }
};

/// Cuts where the script changes. What stands before the first character with a script of its own is dropped, as the
/// library drops it.
class UnicodeScripts final : public PieceCutter {
  Result<void> split(std::string_view text, std::uint32_t base, std::vector<Span>& cut) const override {
    int last = 0;
    std::uint32_t begin = 0;
    const auto size = static_cast<std::uint32_t>(text.size());
    for (std::uint32_t at = 0; at < size;) {
      const Utf8Char c = utf8_at(text.data() + at);
      const int script = stage_chars::script_of(c.code);
      if (script != 0 && script != last) {
        if (last != 0) cut.push_back({base + begin, base + at});
        begin = at;
        last = script;
      }
      at += c.bytes;
    }
    if (last != 0) cut.push_back({base + begin, base + size});
    return {};
  }
};

/// Pieces of so many characters.
class FixedLength final : public PieceCutter {
 public:
  explicit FixedLength(std::int64_t chars) : chars_(chars) {}

 private:
  Result<void> split(std::string_view text, std::uint32_t base, std::vector<Span>& cut) const override {
    const auto size = static_cast<std::uint32_t>(text.size());
    for (std::uint32_t at = 0; at < size;) {
      const std::uint32_t begin = at;
      for (std::int64_t i = 0; i < chars_ && at < size; ++i) at += utf8_at(text.data() + at).bytes;
      cut.push_back({base + begin, base + at});
    }
    return {};
  }

  std::int64_t chars_;
};

}  // namespace

Result<void> PieceCutter::cut(Pieces& pieces) const {
  std::vector<Span> cut;
  cut.reserve(pieces.spans.size() + pieces.text.size() / 4);  // about 4.5 bytes per piece in ordinary text
  std::string spelled;
  for (const Span span : pieces.spans) {
    const std::string_view text = pieces.text.substr(span.begin, span.end - span.begin);
    if (!pieces.bytes_as_chars) {
      CORBEL_TRY(split(text, span.begin, cut));
      continue;
    }
    const std::size_t first = cut.size();
    spelled.clear();
    append_spelled(spelled, text);
    CORBEL_TRY(split(spelled, 0, cut));
    bytes_of_chars(spelled, span.begin, cut, first);
  }
  pieces.spans = std::move(cut);
  return {};
}

Made make_metaspace_pre_tokenizer(const JsonFields& fields) {
  CORBEL_ASSIGN(Metaspace settings, Metaspace::read(fields));
  return Made(std::make_unique<MetaspacePreTokenizer>(std::move(settings)));
}

Made make_whitespace_pre_tokenizer(const JsonFields&) { return Made(std::make_unique<Whitespace>()); }
Made make_unicode_scripts_pre_tokenizer(const JsonFields&) { return Made(std::make_unique<UnicodeScripts>()); }

Made make_fixed_length_pre_tokenizer(const JsonFields& fields) {
  CORBEL_ASSIGN(const std::int64_t chars, fields.get_int("length", 5, 1, std::int64_t{1} << 31));
  return Made(std::make_unique<FixedLength>(chars));
}

}  // namespace corbel
