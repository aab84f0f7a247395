#include "corbel/text/vocabulary.h"

#include <bit>
#include <cstring>

#include "corbel/base/cat.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxBytes = 1U << 31;
constexpr std::uint64_t kMixA = 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio
constexpr std::uint64_t kMixB = 0xD6E8FEB86659FD93ULL;  // an odd constant with even bit spread

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load64(const char* at) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::uint64_t load32(const char* at) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t state = kMixA ^ left;
  for (; left > 16; at += 16, left -= 16) state = mix(load64(at) ^ state, load64(at + 8) ^ kMixB);
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (left >= 8) {
    low = load64(at);
    high = load64(at + left - 8);
  } else if (left >= 4) {
    low = load32(at);
    high = load32(at + left - 4);
  } else if (left > 0) {
    low = (static_cast<std::uint64_t>(static_cast<unsigned char>(at[0])) << 16) |
          (static_cast<std::uint64_t>(static_cast<unsigned char>(at[left / 2])) << 8) |
          static_cast<unsigned char>(at[left - 1]);
  }
  return mix(mix(low ^ state, high ^ kMixB), kMixA);
}

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
  bytes_.reserve(bytes);
  places_.reserve(tokens);
  const std::size_t slots = std::bit_ceil(tokens * 4 / 3 + 16);
  if (slots > slots_.size()) grow(slots);
}

void Vocabulary::grow(std::size_t slots) {
  slots_.assign(slots, {});
  for (std::int32_t id = 0; id < limit(); ++id) {
    if (!has(id)) continue;
    const std::uint64_t hash = hash_bytes(text(id));
    slots_[slot_of(text(id), hash)] = {static_cast<std::uint32_t>(hash >> 32), id};
  }
}

std::size_t Vocabulary::slot_of(std::string_view token, std::uint64_t hash) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  std::size_t at = hash & mask;
  while (slots_[at].id != kNoToken && !(slots_[at].tag == tag && text(slots_[at].id) == token)) at = (at + 1) & mask;
  return at;
}

Result<void> Vocabulary::add(std::string_view token, std::int64_t id, std::string_view field) {
  if (id < 0 || id >= kMaxTokens) {
    return fail(Code::bad_file, cat("\"", field, "\" gives \"", token.substr(0, 80), "\" the id ", id,
                                    "; ids must be between 0 and ", kMaxTokens - 1));
  }
  if (token.size() > kMaxTokenBytes) {
    return fail(Code::bad_file, cat("\"", field, "\" has a token of ", token.size(), " bytes (id ", id, "), more than ",
                                    kMaxTokenBytes));
  }
  const auto small_id = static_cast<std::int32_t>(id);
  if (has(small_id)) {
    return fail(Code::bad_file, cat("\"", field, "\" gives \"", token.substr(0, 80), "\" the id ", id, ", which \"",
                                    text(small_id).substr(0, 80), "\" has already"));
  }
  if (bytes_.size() + token.size() > kMaxBytes) {
    return fail(Code::bad_file, cat("\"", field, "\" has more than ", kMaxBytes, " bytes of tokens"));
  }
  if ((size_ + 1) * 4 > slots_.size() * 3) grow(std::bit_ceil(size_ * 2 + 16));
  const std::uint64_t hash = hash_bytes(token);
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.id != kNoToken) {
    return fail(Code::bad_file, cat("\"", field, "\" has the token \"", token.substr(0, 80), "\" twice (ids ", slot.id,
                                    " and ", id, ")"));
  }
  const auto index = static_cast<std::size_t>(id);
  if (index >= places_.size()) places_.resize(index + 1);
  places_[index] = {static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(token.size())};
  bytes_.append(token);
  slot = {static_cast<std::uint32_t>(hash >> 32), small_id};
  ++size_;
  return {};
}

void Vocabulary::save(FlatWriter& to) const {
  to.put(bytes_);
  to.put(places_);
  to.put(slots_);
}

Result<Vocabulary> Vocabulary::load(FlatReader& from) {
  Vocabulary loaded;
  CORBEL_TRY(from.take(loaded.bytes_));
  CORBEL_TRY(from.take(loaded.places_));
  CORBEL_TRY(from.take(loaded.slots_));
  const auto broken = [&](std::string_view what) { return fail(Code::bad_file, cat(from.source(), ": ", what)); };
  if (loaded.places_.size() > static_cast<std::size_t>(kMaxTokens)) return broken("too many tokens");
  for (const Place& place : loaded.places_) {
    if (place.size == kHole) continue;
    ++loaded.size_;
    if (place.size > kMaxTokenBytes || std::uint64_t{place.begin} + place.size > loaded.bytes_.size())
      return broken("a token lies outside the vocabulary's bytes");
  }
  std::size_t used = 0;
  for (const Slot& slot : loaded.slots_) {
    if (slot.id == kNoToken) continue;
    ++used;
    if (!loaded.has(slot.id)) return broken("a slot of the vocabulary has an id without a token");
  }
  // Searches end at an empty slot.
  if (used != loaded.size_ || used * 4 > loaded.slots_.size() * 3 || !std::has_single_bit(loaded.slots_.size()))
    return broken("the vocabulary's slots do not fit its tokens");
  return loaded;
}

std::int32_t Vocabulary::find(std::string_view token) const noexcept {
  if (slots_.empty()) return kNoToken;
  return slots_[slot_of(token, hash_bytes(token))].id;
}

void Vocabulary::prefetch(std::uint64_t hash) const noexcept {
  if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
}

void Vocabulary::prefetch_text(std::uint64_t hash) const noexcept {
  if (slots_.empty()) return;
  const std::int32_t id = slots_[hash & (slots_.size() - 1)].id;
  if (id == kNoToken) return;
  __builtin_prefetch(bytes_.data() + places_[static_cast<std::size_t>(id)].begin);
}

std::int32_t Vocabulary::find(std::string_view token, std::uint64_t hash) const noexcept {
  if (slots_.empty()) return kNoToken;
  return slots_[slot_of(token, hash)].id;
}

std::string_view Vocabulary::text(std::int32_t id) const noexcept {
  if (!has(id)) return {};
  const Place place = places_[static_cast<std::size_t>(id)];
  return {bytes_.data() + place.begin, place.size};
}

}  // namespace corbel
