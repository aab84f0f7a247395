#include "corbel/base/checksum.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "corbel/base/check.h"

namespace corbel {
namespace {

Checksum canonical(XXH128_hash_t hash) noexcept {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Checksum checksum;
  static_assert(sizeof bytes.digest == sizeof checksum.bytes);
  std::memcpy(checksum.bytes.data(), bytes.digest, sizeof bytes.digest);
  return checksum;
}

}  // namespace

std::string to_string(const Checksum& checksum) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : checksum.bytes) {
    text += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    text += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

Checksum checksum_of(std::span<const std::byte> bytes) noexcept {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

void RunningChecksum::Free::operator()(XXH3_state_s* state) const noexcept { XXH3_freeState(state); }

RunningChecksum::RunningChecksum() : state_(XXH3_createState()) {
  CORBEL_CHECK(state_ != nullptr, "no memory for a checksum's state");
  reset();
}
void RunningChecksum::reset() noexcept { XXH3_128bits_reset(state_.get()); }
void RunningChecksum::add(std::span<const std::byte> bytes) noexcept {
  XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}
Checksum RunningChecksum::value() const noexcept { return canonical(XXH3_128bits_digest(state_.get())); }

void PieceChecksums::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto room = static_cast<std::size_t>(kChecksumPieceBytes - piece_bytes_);
    const std::size_t count = std::min(room, bytes.size());
    piece_.add(bytes.first(count));
    piece_bytes_ += static_cast<std::int64_t>(count);
    bytes = bytes.subspan(count);
    if (piece_bytes_ < kChecksumPieceBytes) continue;
    done_.push_back(piece_.value());
    piece_.reset();
    piece_bytes_ = 0;
  }
}

std::vector<Checksum> PieceChecksums::finish() {
  if (piece_bytes_ > 0) done_.push_back(piece_.value());
  piece_bytes_ = 0;
  return std::exchange(done_, {});
}

}  // namespace corbel
