#include "corbel/text/tokenizer.h"
#include "corbel/text/tokenizer_parts.h"
#include "corbel/text/unicode.h"

namespace corbel {

namespace {

/// False: nothing of this id reaches the decoder; else `token` does.
bool find_token(const Tokenizer::Parts& parts, std::int32_t id, bool skip_special, std::string_view& token) noexcept {
  if (id < 0 || static_cast<std::size_t>(id) >= parts.decoded_by_id.size()) return false;
  const std::int32_t index = parts.decoded_by_id[static_cast<std::size_t>(id)];
  if (index == Tokenizer::Parts::kNoSuchToken) return false;
  if (index == Tokenizer::Parts::kNotAdded) {
    token = parts.model->vocabulary().text(id);
    return true;
  }
  const Tokenizer::Parts::DecodedToken& added = parts.decoded[static_cast<std::size_t>(index)];
  if (skip_special && added.special) return false;
  token = added.text;
  return true;
}

}  // namespace

Result<void> Tokenizer::Parts::make_decode_table() {
  decoded.clear();
  decoded_by_id.assign(static_cast<std::size_t>(vocab_size), kNoSuchToken);
  for (std::int32_t id = 0; id < model->vocabulary().limit(); ++id) {
    if (model->vocabulary().has(id)) decoded_by_id[static_cast<std::size_t>(id)] = kNotAdded;
  }
  for (const AddedToken& token : added) {
    DecodedToken seen{token.content};
    std::string normalized;
    if (token.normalized && normalizer != nullptr) {
      CORBEL_ASSIGN(const bool changed, normalizer->normalize(token.content, normalized));
      if (changed) seen.text = std::move(normalized);
    }
    const auto spelled_so = added_by_text.find(seen.text);
    seen.special = spelled_so != added_by_text.end() && added[static_cast<std::size_t>(spelled_so->second)].special;
    decoded_by_id[static_cast<std::size_t>(token.id)] = static_cast<std::int32_t>(decoded.size());
    decoded.push_back(std::move(seen));
  }
  return {};
}

void Tokenizer::append_bytes(std::int32_t id, bool first, std::string& bytes) const {
  std::string_view token;
  if (!find_token(*parts_, id, false, token)) return;
  DecodedBytes end;
  const std::unique_ptr<DecodeRun> run = parts_->decoder->start(end);
  // Some decoders treat the first token differently: for a later one, a neutral one goes ahead.
  constexpr std::string_view kNeutral = "x";
  if (!first) run->push(kNeutral, true);
  run->push(token, true);
  run->finish();
  bytes.append(end.bytes, first ? 0 : std::min(kNeutral.size(), end.bytes.size()));
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, DecodeOptions options) const {
  DecodedBytes end;
  end.bytes.reserve(ids.size() * 4);
  const std::unique_ptr<DecodeRun> run = parts_->decoder->start(end);
  std::string_view token;
  for (const std::int32_t id : ids) {
    if (find_token(*parts_, id, options.skip_special, token)) run->push(token, true);
  }
  run->finish();
  if (valid_utf8_prefix(end.bytes) == end.bytes.size()) return std::move(end.bytes);
  return replace_invalid_utf8(end.bytes);
}

struct StreamDecoder::State {
  DecodedBytes end;
  std::unique_ptr<DecodeRun> run;
};

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options)
    : tokenizer_(&tokenizer), options_(options), state_(std::make_unique<State>()) {
  state_->run = tokenizer.parts_->decoder->start(state_->end);
}

StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::push(std::int32_t id) {
  std::string_view token;
  if (!find_token(*tokenizer_->parts_, id, options_.skip_special, token)) return {};
  std::string& bytes = state_->end.bytes;
  state_->run->push(token, true);
  std::string text;
  std::string_view left = bytes;
  while (!left.empty()) {
    const Utf8Step step = utf8_step(left);
    if (step.state == Utf8State::unfinished) break;
    if (step.state == Utf8State::complete) {
      text.append(left.substr(0, step.bytes));
    } else {
      text.append("\xEF\xBF\xBD");
    }
    left.remove_prefix(step.bytes);
  }
  bytes.erase(0, bytes.size() - left.size());
  return text;
}

std::string StreamDecoder::finish() {
  state_->run->finish();
  return replace_invalid_utf8(std::exchange(state_->end.bytes, {}));
}

}  // namespace corbel
