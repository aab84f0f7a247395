#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct XXH3_state_s;

namespace corbel {

/// XXH3-128 in its canonical order of bytes: finds damage and tells contents apart; no defence against forgery.
/// Source: github.com/Cyan4973/xxHash, doc/xxhash_spec.md.
struct Checksum {
  std::array<std::byte, 16> bytes{};
  bool operator==(const Checksum&) const = default;
};
/// 32 hexadecimal digits.
std::string to_string(const Checksum& checksum);

Checksum checksum_of(std::span<const std::byte> bytes) noexcept;
inline Checksum checksum_of(std::string_view text) noexcept { return checksum_of(std::as_bytes(std::span(text))); }

/// Checksum of bytes that come in parts.
class RunningChecksum {
 public:
  RunningChecksum();
  void add(std::span<const std::byte> bytes) noexcept;
  Checksum value() const noexcept;  // of all that was added
  void reset() noexcept;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const noexcept;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

/// Long contents are checked in pieces of this size, so that damage is found where it is.
inline constexpr std::int64_t kChecksumPieceBytes = std::int64_t{1} << 20;
constexpr std::int64_t checksum_pieces(std::int64_t bytes) noexcept {
  return (bytes + kChecksumPieceBytes - 1) / kChecksumPieceBytes;
}

/// Checksums of the pieces of bytes that come in parts.
class PieceChecksums {
 public:
  void add(std::span<const std::byte> bytes);
  /// One per piece, the last piece being what is left; nothing more may be added.
  std::vector<Checksum> finish();

 private:
  RunningChecksum piece_;
  std::int64_t piece_bytes_ = 0;
  std::vector<Checksum> done_;
};

}  // namespace corbel
