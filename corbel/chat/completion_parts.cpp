#include "corbel/chat/completion_parts.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/checksum.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

/// Characters that begin in these bytes: a character that several tokens share counts with its first byte.
std::int64_t characters(std::string_view bytes) {
  return std::ranges::count_if(bytes, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
}

Json prompt_token_json(const TokenLogprob& token, std::int64_t rank, const Tokenizer& tokenizer) {
  std::string bytes;
  tokenizer.append_bytes(token.id, false, bytes);
  return {{"logprob", told_logprob(token.logprob)}, {"rank", rank}, {"decoded_token", replace_invalid_utf8(bytes)}};
}

}  // namespace

Json usage_json(const UsageFigures& figures, const CompletionHead& head) {
  Json usage = {{"prompt_tokens", figures.prompt_tokens},
                {"completion_tokens", figures.generated_tokens},
                {"total_tokens", figures.prompt_tokens + figures.generated_tokens}};
  if (head.tells_cached) usage["prompt_tokens_details"] = {{"cached_tokens", figures.cached_tokens}};
  return usage;
}

std::string_view told_finish(FinishReason reason) {
  return reason == FinishReason::length || reason == FinishReason::timeout ? "length" : "stop";
}

std::string made_call_id(const CompletionHead& head, std::uint32_t choice, std::size_t index) {
  constexpr std::size_t kLength = 9;
  return to_string(checksum_of(cat(head.id, ' ', choice, ' ', index))).substr(0, kLength);
}

void add_warnings(std::span<const std::string> more, std::vector<std::string>& warnings) {
  for (const std::string& text : more) {
    if (std::ranges::find(warnings, text) == warnings.end()) warnings.push_back(text);
  }
}

void add_result_warnings(const GenerateResult& result, std::vector<std::string>& warnings) {
  add_warnings(result.warnings, warnings);
  const std::string late = "the answer was cut off when its time was over";
  if (result.finish == FinishReason::timeout) add_warnings({&late, 1}, warnings);
}

double told_logprob(float value) {
  constexpr float kLeast = -9999.0F;
  return Json::parse(cat(std::max(value, kLeast))).get<double>();
}

std::string token_bytes(std::int32_t id, bool first, const Tokenizer& tokenizer) {
  std::string bytes;
  tokenizer.append_bytes(id, first, bytes);
  // A byte alone is no character where it is 0x80 or more: decoders give U+FFFD for it.
  const std::string_view piece = tokenizer.piece(id);
  if (bytes != "\xEF\xBF\xBD" || piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return bytes;
  std::uint8_t byte = 0;
  const auto read = std::from_chars(piece.data() + 3, piece.data() + 5, byte, 16);
  return read.ptr == piece.data() + 5 ? std::string(1, static_cast<char>(byte)) : bytes;
}

std::string told_token(std::int32_t id, bool first, const Tokenizer& tokenizer) {
  std::string bytes = token_bytes(id, first, tokenizer);
  if (replace_invalid_utf8(bytes) == bytes) return bytes;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += cat("\\x", kHex[byte >> 4U], kHex[byte & 15U]);
  }
  return text;
}

Json prompt_logprobs_json(std::span<const AnswerLogprobs> logprobs, const Tokenizer& tokenizer) {
  Json list = Json::array({nullptr});
  for (const AnswerLogprobs& one : logprobs) {
    Json token = {{std::to_string(one.chosen.id), prompt_token_json(one.chosen, one.rank, tokenizer)}};
    std::int64_t rank = 0;
    for (const TokenLogprob& other : one.top) {
      ++rank;
      if (other.id != one.chosen.id) token[std::to_string(other.id)] = prompt_token_json(other, rank, tokenizer);
    }
    list.push_back(std::move(token));
  }
  return list;
}

TokenColumns::TokenColumns(const Tokenizer& tokenizer, std::int64_t offset)
    : tokenizer_(&tokenizer),
      offset_(offset),
      tokens_(Json::array()),
      token_logprobs_(Json::array()),
      top_logprobs_(Json::array()),
      offsets_(Json::array()) {}

void TokenColumns::add_row(const AnswerLogprobs& logprobs, bool first) {
  tokens_.push_back(told_token(logprobs.chosen.id, first, *tokenizer_));
  token_logprobs_.push_back(told_logprob(logprobs.chosen.logprob));
  offsets_.push_back(offset_);
  Json top = Json::object();
  for (const TokenLogprob& other : logprobs.top) {
    std::string text = told_token(other.id, first, *tokenizer_);
    if (!top.contains(text)) top[std::move(text)] = told_logprob(other.logprob);
  }
  const std::string& chosen = tokens_.back().get_ref<const std::string&>();
  if (!top.contains(chosen)) top[chosen] = token_logprobs_.back();
  top_logprobs_.push_back(std::move(top));
}

void TokenColumns::add_prompt(std::span<const std::int32_t> ids, std::string_view text,
                              std::span<const AnswerLogprobs> logprobs) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool first = offset_ == 0;
    if (i > 0 && i <= logprobs.size()) {
      add_row(logprobs[i - 1], first);
    } else {
      tokens_.push_back(told_token(ids[i], first, *tokenizer_));
      token_logprobs_.push_back(nullptr);
      top_logprobs_.push_back(nullptr);
      offsets_.push_back(offset_);
    }
    // What stands around every text (its beginning) is no part of it.
    const std::string bytes = token_bytes(ids[i], first, *tokenizer_);
    if (tokenizer_->is_special(ids[i]) && !text.starts_with(bytes)) continue;
    offset_ += characters(bytes);
    text.remove_prefix(std::min(bytes.size(), text.size()));
  }
}

void TokenColumns::add(const AnswerLogprobs& logprobs) {
  add_row(logprobs, false);
  if (tokenizer_->is_special(logprobs.chosen.id)) return;
  offset_ += characters(token_bytes(logprobs.chosen.id, false, *tokenizer_));
}

Json TokenColumns::json() && {
  return {{"tokens", std::move(tokens_)},
          {"token_logprobs", std::move(token_logprobs_)},
          {"top_logprobs", std::move(top_logprobs_)},
          {"text_offset", std::move(offsets_)}};
}

}  // namespace corbel
