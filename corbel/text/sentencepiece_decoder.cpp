#include "corbel/text/sentencepiece_decoder.h"

#include <string>

#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";
constexpr std::string_view kWrongByte = "\xEF\xBF\xBD";

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct Rules {
  bool strips = false;      // a space in front of the text goes
  bool strips_all = false;  // and all that follow it
  bool byte_fallback = false;
  std::string unknown;
  std::string unknown_surface;
};

class Run final : public DecodeRun {
 public:
  Run(const Rules& rules, DecodeRun& next) : rules_(rules), next_(next) {}

  void push(std::string_view part, bool ends) override {
    if (!ends) {
      token_.append(part);
      return;
    }
    if (token_.empty()) {
      decode(part);
    } else {
      token_.append(part);
      decode(token_);
      token_.clear();
    }
  }

  void finish() override {
    end_bytes();
    at_start_ = true;
    next_.finish();
  }

 private:
  void emit(std::string_view text) {
    if (text.empty()) return;
    at_start_ = false;
    next_.push(text, true);
  }

  /// Characters that byte pieces complete are text at once; a byte that belongs to none is one U+FFFD.
  void decode_byte(char byte) {
    held_.push_back(byte);
    while (!held_.empty()) {
      const Utf8Step step = utf8_step(held_);
      if (step.state == Utf8State::unfinished) return;
      const bool complete = step.state == Utf8State::complete;
      emit(complete ? std::string_view(held_).substr(0, step.bytes) : kWrongByte);
      held_.erase(0, complete ? step.bytes : 1);
    }
  }

  void end_bytes() {
    for (std::size_t i = 0; i < held_.size(); ++i) emit(kWrongByte);
    held_.clear();
  }

  void decode(std::string_view token) {
    if (const int byte = rules_.byte_fallback ? byte_of_piece(token) : -1; byte >= 0) {
      decode_byte(static_cast<char>(byte));
      return;
    }
    end_bytes();
    if (token == rules_.unknown) {
      emit(rules_.unknown_surface);
      return;
    }
    if (at_start_ && rules_.strips && token.starts_with(kSpace)) {
      token.remove_prefix(kSpace.size());
      if (!rules_.strips_all) at_start_ = false;
    }
    std::string text;
    while (!token.empty()) {
      const std::size_t stop = token.find(kSpace);
      text.append(token.substr(0, stop));
      if (stop == std::string_view::npos) break;
      text.push_back(' ');
      token.remove_prefix(stop + kSpace.size());
    }
    emit(text);
  }

  const Rules& rules_;
  DecodeRun& next_;
  std::string token_;     // parts of a token that has not ended
  std::string held_;      // bytes that do not make a character yet
  bool at_start_ = true;  // a space here is one that normalizing has put in front of the text
};

class SentencePieceDecoder final : public Decoder {
 public:
  explicit SentencePieceDecoder(Rules rules) : rules_(std::move(rules)) {}
  std::unique_ptr<DecodeRun> start(DecodeRun& next) const override { return std::make_unique<Run>(rules_, next); }

 private:
  Rules rules_;
};

}  // namespace

int byte_of_piece(std::string_view text) noexcept {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = hex_value(text[3]);
  const int low = hex_value(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::unique_ptr<Decoder> make_sentencepiece_decoder(const SentencePieceSpec& spec, const SentencePieceUse& use) {
  Rules rules;
  rules.strips = spec.add_dummy_prefix || spec.remove_extra_whitespaces;
  rules.strips_all = spec.remove_extra_whitespaces;
  rules.byte_fallback = spec.byte_fallback;
  for (const SentencePiece& piece : spec.pieces) {
    if (piece.type == PieceType::unknown) rules.unknown = piece.text;
  }
  rules.unknown_surface = use.show_unknown_surface ? std::string(spec.unk_surface) : rules.unknown;
  return std::make_unique<SentencePieceDecoder>(std::move(rules));
}

}  // namespace corbel
