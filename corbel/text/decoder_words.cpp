#include <algorithm>
#include <optional>

#include "corbel/text/decoder_stages.h"
#include "corbel/text/metaspace.h"
#include "corbel/text/replacer.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Decoder>>;

/// What the decoders of word pieces tidy up within one token, in this order.
std::string tidied(std::string text) {
  static constexpr std::string_view kSteps[][2] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kSteps) {
    if (text.find(from) == std::string::npos) continue;
    std::string next;
    append_replaced(next, text, from, to);
    text = std::move(next);
  }
  return text;
}

struct WordPieceSettings {
  std::string prefix;
  bool cleanup = true;
};

class WordPieceRun final : public WholeTokenRun {
 public:
  WordPieceRun(const WordPieceSettings& settings, DecodeRun& next) : WholeTokenRun(next), settings_(settings) {}
  void finish() override {
    first_ = true;
    WholeTokenRun::finish();
  }

 private:
  void take(std::string_view token) override {
    text_.clear();
    if (!first_) {
      if (token.starts_with(settings_.prefix)) {
        token.remove_prefix(settings_.prefix.size());
      } else {
        text_.push_back(' ');
      }
    }
    first_ = false;
    text_.append(token);
    if (settings_.cleanup) text_ = tidied(std::move(text_));
    next().push(text_, true);
  }

  const WordPieceSettings& settings_;
  std::string text_;
  bool first_ = true;
};

/// The mark of a word's end becomes a space, and nothing in the last token: a token with a mark is held until the next.
class BpeRun final : public WholeTokenRun {
 public:
  BpeRun(const std::string& suffix, DecodeRun& next) : WholeTokenRun(next), suffix_(suffix) {}
  void finish() override {
    if (held_.has_value()) give(*held_, "");
    held_.reset();
    WholeTokenRun::finish();
  }

 private:
  void take(std::string_view token) override {
    if (held_.has_value()) give(*held_, " ");
    held_.reset();
    if (token.find(suffix_) == std::string_view::npos) {
      next().push(token, true);
    } else {
      held_.emplace(token);
    }
  }
  void give(std::string_view token, std::string_view mark) {
    std::string text;
    append_replaced(text, token, suffix_, mark);
    next().push(text, true);
  }

  const std::string& suffix_;
  std::optional<std::string> held_;
};

struct CtcSettings {
  std::string pad;
  std::string delimiter;
  bool cleanup = true;
};

/// Of equal tokens in a row one stays; padding and what is empty without it goes.
class CtcRun final : public WholeTokenRun {
 public:
  CtcRun(const CtcSettings& settings, DecodeRun& next) : WholeTokenRun(next), settings_(settings) {}
  void finish() override {
    previous_.reset();
    WholeTokenRun::finish();
  }

 private:
  void take(std::string_view token) override {
    if (previous_ == token) return;
    previous_.emplace(token);
    std::string text;
    if (settings_.pad.empty()) {
      text = token;
    } else {
      append_replaced(text, token, settings_.pad, "");
    }
    if (settings_.cleanup) {
      const std::string tidy = tidied(std::move(text));
      text.clear();
      append_replaced(text, tidy, settings_.delimiter, " ");
    }
    if (!text.empty()) next().push(text, true);
  }

  const CtcSettings& settings_;
  std::optional<std::string> previous_;
};

/// Marks become spaces; in the first token they vanish where encoding put one there.
class MetaspaceRun final : public DecodeRun {
 public:
  MetaspaceRun(const Metaspace& settings, DecodeRun& next) : settings_(settings), next_(next) {}
  void push(std::string_view part, bool ends) override {
    const std::string_view space = first_ && settings_.prepend != PrependScheme::never ? "" : " ";
    if (part.find(settings_.replacement) == std::string_view::npos) {
      next_.push(part, ends);
    } else {
      text_.clear();
      append_replaced(text_, part, settings_.replacement, space);
      next_.push(text_, ends);
    }
    if (ends) first_ = false;
  }
  void finish() override {
    first_ = true;
    next_.finish();
  }

 private:
  const Metaspace& settings_;
  DecodeRun& next_;
  std::string text_;
  bool first_ = true;
};

struct StripSettings {
  std::string content;     // one character
  std::int64_t start = 0;  // at most so many are taken from a token's front
  std::int64_t stop = 0;   // and from its end
};

/// Holds back the last characters of a token that may have to go.
class StripRun final : public DecodeRun {
 public:
  StripRun(const StripSettings& settings, DecodeRun& next) : settings_(settings), next_(next), front_(settings.start) {}

  void push(std::string_view part, bool ends) override {
    while (front_ > 0 && part.starts_with(settings_.content)) {
      part.remove_prefix(settings_.content.size());
      --front_;
    }
    if (!part.empty()) front_ = 0;
    if (settings_.stop == 0) {
      next_.push(part, ends);
    } else {
      push_but_the_end(part, ends);
    }
    if (ends) {
      front_ = settings_.start;
      held_ = 0;
    }
  }
  void finish() override {
    front_ = settings_.start;
    held_ = 0;
    next_.finish();
  }

 private:
  void push_but_the_end(std::string_view part, bool ends) {
    std::int64_t last = 0;
    std::string_view rest = part;
    while (last < settings_.stop && rest.ends_with(settings_.content)) {
      rest.remove_suffix(settings_.content.size());
      ++last;
    }
    // A part of nothing but the character joins what was held; anything else sets that free.
    std::int64_t free = held_;
    if (rest.empty()) {
      free = std::max<std::int64_t>(0, held_ + last - settings_.stop);
      last = held_ + last - free;
    }
    text_.clear();
    for (; free > 0; --free) text_.append(settings_.content);
    text_.append(rest);
    held_ = last;
    next_.push(text_, ends);
  }

  const StripSettings& settings_;
  DecodeRun& next_;
  std::string text_;
  std::int64_t front_;
  std::int64_t held_ = 0;  // characters
};

/// A literal in tokens that come in parts: the end of a part may be the start of a match.
class LiteralRun final : public DecodeRun {
 public:
  LiteralRun(const Replacer& replacer, DecodeRun& next) : replacer_(replacer), next_(next) {}

  void push(std::string_view part, bool ends) override {
    if (!held_.empty()) {
      held_.append(part);
      part = held_;
    }
    const std::string& literal = replacer_.literal();
    text_.clear();
    for (std::size_t at = part.find(literal); at != std::string_view::npos; at = part.find(literal)) {
      text_.append(part.substr(0, at));
      text_.append(replacer_.content());
      part.remove_prefix(at + literal.size());
    }
    std::size_t keep = ends ? 0 : std::min(part.size(), literal.size() - 1);
    while (keep > 0 && !std::string_view(literal).starts_with(part.substr(part.size() - keep))) --keep;
    text_.append(part.substr(0, part.size() - keep));
    held_ = std::string(part.substr(part.size() - keep));
    next_.push(text_, ends);
  }
  void finish() override {
    held_.clear();
    next_.finish();
  }

 private:
  const Replacer& replacer_;
  DecodeRun& next_;
  std::string held_;
  std::string text_;
};

class RegexRun final : public WholeTokenRun {
 public:
  RegexRun(const Replacer& replacer, DecodeRun& next) : WholeTokenRun(next), replacer_(replacer) {}

 private:
  void take(std::string_view token) override {
    // A token on which the regex passes its limits stays as it is: decoding cannot fail.
    const auto changed = replacer_.replace(token, text_);
    next().push(changed && *changed ? std::string_view(text_) : token, true);
  }

  const Replacer& replacer_;
  std::string text_;
};

class ReplaceDecoder final : public Decoder {
 public:
  explicit ReplaceDecoder(Replacer replacer) : replacer_(std::move(replacer)) {}
  std::unique_ptr<DecodeRun> start(DecodeRun& next) const override {
    if (replacer_.literal().empty()) return std::make_unique<RegexRun>(replacer_, next);
    return std::make_unique<LiteralRun>(replacer_, next);
  }

 private:
  Replacer replacer_;
};

}  // namespace

Made make_metaspace_decoder(const JsonFields& fields) {
  CORBEL_ASSIGN(Metaspace settings, Metaspace::read(fields));
  return Made(std::make_unique<DecoderOf<MetaspaceRun, Metaspace>>(std::move(settings)));
}

Made make_strip_decoder(const JsonFields& fields) {
  constexpr std::int64_t kMost = 1 << 20;
  StripSettings settings;
  CORBEL_ASSIGN(settings.content, read_char(fields, "content", ""));
  CORBEL_ASSIGN(settings.start, fields.require_int("start", 0, kMost));
  CORBEL_ASSIGN(settings.stop, fields.require_int("stop", 0, kMost));
  return Made(std::make_unique<DecoderOf<StripRun, StripSettings>>(std::move(settings)));
}

Made make_replace_decoder(const JsonFields& fields) {
  CORBEL_ASSIGN(Replacer replacer, Replacer::make(fields));
  return Made(std::make_unique<ReplaceDecoder>(std::move(replacer)));
}

Made make_word_piece_decoder(const JsonFields& fields) {
  WordPieceSettings settings;
  CORBEL_ASSIGN(settings.prefix, fields.get_string("prefix", "##"));
  CORBEL_ASSIGN(settings.cleanup, fields.get_bool("cleanup", true));
  return Made(std::make_unique<DecoderOf<WordPieceRun, WordPieceSettings>>(std::move(settings)));
}

Made make_bpe_decoder(const JsonFields& fields) {
  CORBEL_ASSIGN(std::string suffix, fields.get_string("suffix", "</w>"));
  return Made(std::make_unique<DecoderOf<BpeRun, std::string>>(std::move(suffix)));
}

Made make_ctc_decoder(const JsonFields& fields) {
  CtcSettings settings;
  CORBEL_ASSIGN(settings.pad, fields.get_string("pad_token", "<pad>"));
  CORBEL_ASSIGN(settings.delimiter, fields.get_string("word_delimiter_token", "|"));
  CORBEL_ASSIGN(settings.cleanup, fields.get_bool("cleanup", true));
  return Made(std::make_unique<DecoderOf<CtcRun, CtcSettings>>(std::move(settings)));
}

}  // namespace corbel
