#include "corbel/text/byte_chars.h"
#include "corbel/text/decoder_stages.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Decoder>>;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Appends the characters that `bytes` are whole; wrong parts become U+FFFD. Returns how many bytes were used up: what
/// is left is the start of a character.
std::size_t append_characters(std::string& out, std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const Utf8Step step = utf8_step(bytes.substr(done));
    if (step.state == Utf8State::unfinished) break;
    if (step.state == Utf8State::complete) {
      out.append(bytes, done, step.bytes);
    } else {
      out.append(kReplacement);
    }
    done += step.bytes;
  }
  return done;
}

struct ByteLevelSettings {};

/// Every token spells bytes by visible characters; all of them make one token. A token that has other characters (an
/// added one may) stands for itself.
class ByteLevelRun final : public DecodeRun {
 public:
  ByteLevelRun(const ByteLevelSettings&, DecodeRun& next) : next_(next), next_takes_bytes_(next.takes_bytes()) {}

  void push(std::string_view part, bool ends) override {
    if (!ends || !token_.empty()) {
      token_.append(part);
      if (!ends) return;
      add(token_);
      token_.clear();
    } else {
      add(part);
    }
    if (next_takes_bytes_) {
      next_.push(bytes_, false);
      bytes_.clear();
      return;
    }
    text_.clear();
    bytes_.erase(0, append_characters(text_, bytes_));
    next_.push(text_, false);
  }

  void finish() override {
    token_.clear();
    next_.push(bytes_.empty() ? std::string_view() : kReplacement, true);  // bytes_ is the start of one character
    bytes_.clear();
    next_.finish();
  }

 private:
  void add(std::string_view token) {
    if (!append_unspelled(bytes_, token)) bytes_.append(token);
  }

  DecodeRun& next_;
  bool next_takes_bytes_;
  std::string token_;  // parts of a token that has not ended
  std::string bytes_;
  std::string text_;
};

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The byte that a token "<0x41>" means, or -1. "<0x+A>" counts too: Rust's from_str_radix takes a sign.
int byte_of(std::string_view token) noexcept {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int high = token[3] == '+' ? 0 : hex_digit(token[3]);
  const int low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

struct ByteFallbackSettings {};

/// A run of byte tokens is a token of its characters when it is valid UTF-8 as a whole; else each byte is U+FFFD. So
/// nothing of a run is passed on before it has ended or is known to be wrong.
class ByteFallbackRun final : public DecodeRun {
 public:
  ByteFallbackRun(const ByteFallbackSettings&, DecodeRun& next) : next_(next) {}

  void push(std::string_view part, bool ends) override {
    if (passing_) {
      next_.push(part, ends);
      passing_ = !ends;
      return;
    }
    if (!ends || !token_.empty()) {
      token_.append(part);
      if (!ends && may_be_byte(token_)) return;
      part = token_;
    }
    const int byte = ends ? byte_of(part) : -1;
    if (byte >= 0) {
      add_byte(static_cast<char>(byte));
    } else {
      end_run();
      next_.push(part, ends);
      passing_ = !ends;
    }
    token_.clear();
  }

  void finish() override {
    end_run();
    token_.clear();
    passing_ = false;
    next_.finish();
  }

 private:
  static bool may_be_byte(std::string_view start) noexcept {
    return start.size() <= 6 && start.substr(0, 3) == std::string_view("<0x").substr(0, start.size());
  }

  void add_byte(char byte) {
    if (wrong_) {
      next_.push(kReplacement, true);
      return;
    }
    run_.push_back(byte);
    const Utf8Step step = utf8_step(std::string_view(run_).substr(whole_));
    if (step.state == Utf8State::complete) whole_ += step.bytes;
    if (step.state == Utf8State::wrong) give_up();
  }

  void give_up() {
    for (std::size_t i = 0; i < run_.size(); ++i) next_.push(kReplacement, true);
    run_.clear();
    whole_ = 0;
    wrong_ = true;
  }

  void end_run() {
    if (whole_ < run_.size()) give_up();
    if (!run_.empty()) next_.push(run_, true);
    run_.clear();
    whole_ = 0;
    wrong_ = false;
  }

  DecodeRun& next_;
  std::string token_;      // the start of a token in parts that may become a byte
  std::string run_;        // bytes held
  std::size_t whole_ = 0;  // of them, those that form whole characters
  bool wrong_ = false;     // the run is not UTF-8: its bytes are passed on at once
  bool passing_ = false;   // inside a token in parts that is no byte
};

}  // namespace

Made make_byte_level_decoder(const JsonFields&) {
  return Made(std::make_unique<DecoderOf<ByteLevelRun, ByteLevelSettings>>(ByteLevelSettings{}));
}

Made make_byte_fallback_decoder(const JsonFields&) {
  return Made(std::make_unique<DecoderOf<ByteFallbackRun, ByteFallbackSettings>>(ByteFallbackSettings{}));
}

}  // namespace corbel
