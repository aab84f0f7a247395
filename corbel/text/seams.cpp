#include "corbel/text/seams.h"

#include <algorithm>

namespace corbel {
namespace {

constexpr std::size_t kAsciiWords = 128 * 128 / 64;  // pairs of ASCII characters have a bit of their own
constexpr int kHashedBits = 20;
constexpr std::size_t kWords = kAsciiWords + (std::size_t{1} << kHashedBits) / 64;
constexpr std::uint32_t kAnyLeft = 0xFFFFFFFF;  // the token starts inside the character on the left
constexpr std::uint32_t kPartRight =
    0xFFFFFF00;  // the token ends inside the character on the right: only its lead counts

std::uint8_t byte_of(std::string_view text, std::size_t at) noexcept { return static_cast<std::uint8_t>(text[at]); }
bool continues(std::uint8_t byte) noexcept { return (byte & 0xC0) == 0x80; }

std::size_t expected_bytes(std::uint8_t lead) noexcept {
  if (lead < 0xC0 || lead >= 0xF8) return 1;
  return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/// The bytes of the character that ends before text[at]; kAnyLeft where its first byte is not among the last four.
std::uint32_t left_of(std::string_view text, std::size_t at) noexcept {
  std::uint32_t key = 0;
  const std::size_t most = std::min<std::size_t>(at, 4);
  for (std::size_t back = 1; back <= most; ++back) {
    const std::uint8_t byte = byte_of(text, at - back);
    key |= static_cast<std::uint32_t>(byte) << (8 * (back - 1));
    if (!continues(byte)) return key;
  }
  return kAnyLeft;
}

struct Right {
  std::uint32_t key = 0;
  bool whole = true;
};

/// The bytes of the character that starts at text[at]; not whole where the text ends inside it.
Right right_of(std::string_view text, std::size_t at) noexcept {
  const std::size_t expected = expected_bytes(byte_of(text, at));
  std::uint32_t key = byte_of(text, at);
  for (std::size_t i = 1; i < expected; ++i) {
    if (at + i == text.size()) return {key, false};
    const std::uint8_t byte = byte_of(text, at + i);
    if (!continues(byte)) break;
    key = (key << 8) | byte;
  }
  return {key, true};
}

std::size_t bit_of(std::uint32_t left, std::uint32_t right) noexcept {
  if (left < 0x80 && right < 0x80) return left * 128 + right;
  const std::uint64_t pair = (static_cast<std::uint64_t>(left) << 32) | right;
  return kAsciiWords * 64 + static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15ULL) >> (64 - kHashedBits));
}

}  // namespace

void Seams::clear() {
  joined_.assign(kWords, 0);
  any_left_ = part_right_ = false;
}

void Seams::save(FlatWriter& to) const {
  to.put(joined_);
  to.put_number((any_left_ ? 1U : 0U) | (part_right_ ? 2U : 0U));
}

Result<Seams> Seams::load(FlatReader& from) {
  Seams loaded;
  CORBEL_TRY(from.take(loaded.joined_));
  CORBEL_ASSIGN(const std::uint64_t flags, from.take_number());
  loaded.any_left_ = (flags & 1) != 0;
  loaded.part_right_ = (flags & 2) != 0;
  if (!loaded.joined_.empty() && loaded.joined_.size() != kWords)
    return fail(Code::bad_file,
                cat(from.source(), ": the table of seams has ", loaded.joined_.size(), " words, not ", kWords));
  return loaded;
}

void Seams::join(std::uint32_t left, std::uint32_t right) noexcept {
  const std::size_t bit = bit_of(left, right);
  joined_[bit / 64] |= std::uint64_t{1} << (bit % 64);
}

bool Seams::is_joined(std::uint32_t left, std::uint32_t right) const noexcept {
  const std::size_t bit = bit_of(left, right);
  return ((joined_[bit / 64] >> (bit % 64)) & 1) != 0;
}

void Seams::add_token(std::string_view token) {
  for (std::size_t at = 1; at < token.size(); ++at) {
    const std::uint8_t lead = byte_of(token, at);
    if (continues(lead)) continue;  // never a seam
    const std::uint32_t left = left_of(token, at);
    const Right right = right_of(token, at);
    join(left, right.whole ? right.key : kPartRight | lead);
    any_left_ = any_left_ || left == kAnyLeft;
    part_right_ = part_right_ || !right.whole;
  }
}

bool Seams::is_seam(std::string_view text, std::size_t at) const noexcept {
  const std::uint8_t lead = byte_of(text, at);
  if (continues(lead)) return false;
  const std::uint32_t left = left_of(text, at);
  if (left == kAnyLeft) return false;
  const std::uint32_t right = right_of(text, at).key;
  if (is_joined(left, right)) return false;
  // An ASCII character has no inside.
  const bool any_left = any_left_ && left >= 0x80;
  const bool part_right = part_right_ && right >= 0x80;
  if (any_left && is_joined(kAnyLeft, right)) return false;
  if (part_right && is_joined(left, kPartRight | lead)) return false;
  return !(any_left && part_right && is_joined(kAnyLeft, kPartRight | lead));
}

}  // namespace corbel
