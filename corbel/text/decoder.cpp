#include "corbel/text/decoder.h"

#include <nlohmann/json.hpp>

#include "corbel/text/component.h"
#include "corbel/text/decoder_stages.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Decoder>>;
struct NoSettings {};

/// All tokens become parts of one.
class FuseRun final : public DecodeRun {
 public:
  FuseRun(const NoSettings&, DecodeRun& next) : next_(next) {}
  void push(std::string_view part, bool) override { next_.push(part, false); }
  void finish() override {
    next_.push({}, true);
    next_.finish();
  }
  bool takes_bytes() const noexcept override { return next_.takes_bytes(); }

 private:
  DecodeRun& next_;
};

class JoiningRun final : public DecodeRun {
 public:
  JoiningRun(const NoSettings&, DecodeRun& next) : next_(next) {}
  void push(std::string_view part, bool ends) override {
    if (starts_ && !first_) next_.push(" ", false);
    next_.push(part, ends);
    starts_ = ends;
    first_ = false;
  }
  void finish() override {
    first_ = starts_ = true;
    next_.finish();
  }
  bool takes_bytes() const noexcept override { return next_.takes_bytes(); }

 private:
  DecodeRun& next_;
  bool first_ = true;
  bool starts_ = true;  // the next part begins a token
};

/// Owns the runs of a sequence, made last to first.
class ChainRun final : public DecodeRun {
 public:
  ChainRun(const std::vector<std::unique_ptr<Decoder>>& stages, DecodeRun& next) : first_(&next) {
    for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
      runs_.push_back((*stage)->start(*first_));
      first_ = runs_.back().get();
    }
  }
  void push(std::string_view part, bool ends) override { first_->push(part, ends); }
  void finish() override { first_->finish(); }
  bool takes_bytes() const noexcept override { return first_->takes_bytes(); }

 private:
  std::vector<std::unique_ptr<DecodeRun>> runs_;
  DecodeRun* first_;
};

class SequenceDecoder final : public Decoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<Decoder>> stages) : stages_(std::move(stages)) {}
  std::unique_ptr<DecodeRun> start(DecodeRun& next) const override { return std::make_unique<ChainRun>(stages_, next); }

 private:
  std::vector<std::unique_ptr<Decoder>> stages_;
};

Made make_fuse(const JsonFields&) { return Made(std::make_unique<DecoderOf<FuseRun, NoSettings>>(NoSettings{})); }

Made make_sequence(const JsonFields& fields) {
  CORBEL_ASSIGN(auto stages, make_components<Decoder>(make_decoder, fields, "decoders"));
  return Made(std::make_unique<SequenceDecoder>(std::move(stages)));
}

constexpr ComponentKind<Decoder> kDecoders[] = {{"ByteLevel", make_byte_level_decoder},
                                                {"ByteFallback", make_byte_fallback_decoder},
                                                {"Metaspace", make_metaspace_decoder},
                                                {"Fuse", make_fuse},
                                                {"Strip", make_strip_decoder},
                                                {"Replace", make_replace_decoder},
                                                {"WordPiece", make_word_piece_decoder},
                                                {"BPEDecoder", make_bpe_decoder},
                                                {"CTC", make_ctc_decoder},
                                                {"Sequence", make_sequence}};

}  // namespace

Made make_decoder(const JsonFields& fields) { return make_component<Decoder>(kDecoders, fields); }

std::unique_ptr<Decoder> make_joining_decoder() {
  return std::make_unique<DecoderOf<JoiningRun, NoSettings>>(NoSettings{});
}

}  // namespace corbel
