#pragma once
#include <memory>

#include "corbel/text/decoder.h"

/// The makers of each kind of decoder: rows of the table in decoder.cpp.
namespace corbel {

Result<std::unique_ptr<Decoder>> make_byte_level_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_byte_fallback_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_metaspace_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_strip_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_replace_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_word_piece_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_bpe_decoder(const JsonFields& fields);
Result<std::unique_ptr<Decoder>> make_ctc_decoder(const JsonFields& fields);

/// Hands each token over in one part: for stages that must see a whole one.
class WholeTokenRun : public DecodeRun {
 public:
  explicit WholeTokenRun(DecodeRun& next) : next_(next) {}

  void push(std::string_view part, bool ends) final {
    if (ends && held_.empty()) {
      take(part);
      return;
    }
    held_.append(part);
    if (!ends) return;
    take(held_);
    held_.clear();
  }
  void finish() override {
    held_.clear();
    next_.finish();
  }

 protected:
  virtual void take(std::string_view token) = 0;
  DecodeRun& next() noexcept { return next_; }

 private:
  DecodeRun& next_;
  std::string held_;
};

/// A decoder whose run needs nothing but its settings.
template <typename Run, typename Settings>
class DecoderOf final : public Decoder {
 public:
  explicit DecoderOf(Settings settings) : settings_(std::move(settings)) {}
  std::unique_ptr<DecodeRun> start(DecodeRun& next) const override { return std::make_unique<Run>(settings_, next); }

 private:
  Settings settings_;
};

}  // namespace corbel
