#include "corbel/format/gguf_rows.h"

#include <cstring>

namespace corbel {
namespace {

template <typename T>
T load(const std::byte* p) noexcept {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
std::uint8_t byte_at(const std::byte* p, int i) noexcept { return std::to_integer<std::uint8_t>(p[i]); }

/// `pairs` runs of `half` bytes: each byte has a value in its low nibble and the one `half` further on in its high one.
void take_nibbles(const std::byte* low, int pairs, int half, std::uint8_t* codes) noexcept {
  for (int p = 0; p < pairs; ++p, low += half, codes += 2 * half) {
    for (int i = 0; i < half; ++i) {
      codes[i] = byte_at(low, i) & 15;
      codes[half + i] = byte_at(low, i) >> 4;
    }
  }
}

void add_fifth_bits(std::uint32_t high, std::uint8_t* codes) noexcept {
  for (int i = 0; i < 32; ++i) codes[i] |= static_cast<std::uint8_t>((high >> i & 1U) << 4);
}

void take_q4_0(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  take_nibbles(p + 2, 1, 16, block.codes.data());
}

void take_q4_1(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  block.header.m = load<float16>(p + 2);
  take_nibbles(p + 4, 1, 16, block.codes.data());
}

void take_q5_0(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  take_nibbles(p + 6, 1, 16, block.codes.data());
  add_fifth_bits(load<std::uint32_t>(p + 2), block.codes.data());
}

void take_q5_1(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  block.header.m = load<float16>(p + 2);
  take_nibbles(p + 8, 1, 16, block.codes.data());
  add_fifth_bits(load<std::uint32_t>(p + 4), block.codes.data());
}

void take_q8_0(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  std::memcpy(block.codes.data(), p + 2, 32);
}

/// d, m, and the eight s and n of 6 bits.
void take_six_bit_pairs(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  block.header.m = load<float16>(p + 2);
  const std::byte* six = p + 4;
  for (int g = 0; g < 4; ++g) {
    block.header.s[g] = byte_at(six, g) & 63;
    block.header.n[g] = byte_at(six, 4 + g) & 63;
    block.header.s[4 + g] = static_cast<std::uint8_t>((byte_at(six, 8 + g) & 15) | byte_at(six, g) >> 6 << 4);
    block.header.n[4 + g] = static_cast<std::uint8_t>(byte_at(six, 8 + g) >> 4 | byte_at(six, 4 + g) >> 6 << 4);
  }
}

void take_q4_k(const std::byte* p, GgufBlock& block) noexcept {
  take_six_bit_pairs(p, block);
  take_nibbles(p + 16, 4, 32, block.codes.data());
}

void take_q5_k(const std::byte* p, GgufBlock& block) noexcept {
  take_six_bit_pairs(p, block);
  take_nibbles(p + 48, 4, 32, block.codes.data());
  for (int i = 0; i < 256; ++i)
    block.codes[i] |= static_cast<std::uint8_t>((byte_at(p + 16, i % 32) >> (i / 32) & 1) << 4);
}

void take_q6_k(const std::byte* p, GgufBlock& block) noexcept {
  take_nibbles(p, 2, 64, block.codes.data());
  for (int i = 0; i < 256; ++i) {
    const int high = byte_at(p + 128, i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3;
    block.codes[i] |= static_cast<std::uint8_t>(high << 4);
  }
  std::memcpy(block.header.s.data(), p + 192, 16);
  block.header.d = load<float16>(p + 208);
}

void take_iq4_xs(const std::byte* p, GgufBlock& block) noexcept {
  block.header.d = load<float16>(p);
  const auto high = load<std::uint16_t>(p + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = byte_at(p + 4, g / 2) >> (g % 2 * 4) & 15;
    block.header.s[g] = static_cast<std::uint8_t>(low | (high >> (2 * g) & 3) << 4);
  }
  take_nibbles(p + 8, 8, 16, block.codes.data());
}

/// A format with its layout; the decoder comes out of both.
struct Entry {
  GgufRowLayout layout;
  void (*take)(const std::byte* stored, GgufBlock& block) noexcept;
  std::int64_t bytes;
};

constexpr Entry kQ4_0{{4, 32, 32, GgufScales::plain, kGgufFrom8.data()}, take_q4_0, 18};
constexpr Entry kQ4_1{{4, 32, 32, GgufScales::with_minimum, kGgufFrom0.data()}, take_q4_1, 20};
constexpr Entry kQ5_0{{5, 32, 32, GgufScales::plain, kGgufFrom16.data()}, take_q5_0, 22};
constexpr Entry kQ5_1{{5, 32, 32, GgufScales::with_minimum, kGgufFrom0.data()}, take_q5_1, 24};
constexpr Entry kQ8_0{{8, 32, 32, GgufScales::plain, nullptr}, take_q8_0, 34};
constexpr Entry kIq4Nl{{4, 32, 32, GgufScales::plain, kGgufUneven.data()}, take_q4_0, 18};
constexpr Entry kQ4K{{4, 256, 32, GgufScales::six_bit_pairs, kGgufFrom0.data()}, take_q4_k, 144};
constexpr Entry kQ5K{{5, 256, 32, GgufScales::six_bit_pairs, kGgufFrom0.data()}, take_q5_k, 176};
constexpr Entry kQ6K{{6, 256, 16, GgufScales::bytes, kGgufFrom32.data()}, take_q6_k, 210};
constexpr Entry kIq4Xs{{4, 256, 32, GgufScales::six_bit, kGgufUneven.data()}, take_iq4_xs, 136};

template <const Entry& kEntry>
void decode_blocks(const std::byte* stored, std::int64_t count, float* values) noexcept {
  constexpr const GgufRowLayout& kLayout = kEntry.layout;
  constexpr bool kOffsets = kLayout.scales == GgufScales::with_minimum || kLayout.scales == GgufScales::six_bit_pairs;
  GgufBlock block;
  for (; count > 0; count -= kLayout.values, stored += kEntry.bytes, values += kLayout.values) {
    kEntry.take(stored, block);
    for (int g = 0; g < kLayout.values / kLayout.group; ++g) {
      const float scale = block.header.scale(kLayout.scales, g);
      const float offset = block.header.offset(kLayout.scales, g);
      for (int i = g * kLayout.group; i < (g + 1) * kLayout.group; ++i) {
        const float value = scale * static_cast<float>(gguf_integer(kLayout, block.codes[i]));
        values[i] = kOffsets ? value + offset : value;
      }
    }
  }
}

template <const Entry& kEntry>
constexpr WeightFormat made(std::string_view name) {
  return {name, kEntry.layout.values, kEntry.bytes, 0.0, decode_blocks<kEntry>, nullptr};
}

constexpr WeightFormat kQ4_0Format = made<kQ4_0>("q4_0");
constexpr WeightFormat kQ4_1Format = made<kQ4_1>("q4_1");
constexpr WeightFormat kQ5_0Format = made<kQ5_0>("q5_0");
constexpr WeightFormat kQ5_1Format = made<kQ5_1>("q5_1");
constexpr WeightFormat kQ8_0Format = made<kQ8_0>("q8_0");
constexpr WeightFormat kIq4NlFormat = made<kIq4Nl>("iq4_nl");
constexpr WeightFormat kQ4KFormat = made<kQ4K>("q4_k");
constexpr WeightFormat kQ5KFormat = made<kQ5K>("q5_k");
constexpr WeightFormat kQ6KFormat = made<kQ6K>("q6_k");
constexpr WeightFormat kIq4XsFormat = made<kIq4Xs>("iq4_xs");

struct Named {
  const WeightFormat* format;
  const Entry* entry;
};
constexpr Named kNamed[] = {
    {&kQ4_0Format, &kQ4_0}, {&kQ4_1Format, &kQ4_1},   {&kQ5_0Format, &kQ5_0}, {&kQ5_1Format, &kQ5_1},
    {&kQ8_0Format, &kQ8_0}, {&kIq4NlFormat, &kIq4Nl}, {&kQ4KFormat, &kQ4K},   {&kQ5KFormat, &kQ5K},
    {&kQ6KFormat, &kQ6K},   {&kIq4XsFormat, &kIq4Xs},
};

const Entry* find_entry(const WeightFormat& format) noexcept {
  for (const Named& named : kNamed)
    if (named.format == &format) return named.entry;
  return nullptr;
}

}  // namespace

float GgufBlockHeader::scale(GgufScales kind, int group) const noexcept {
  switch (kind) {
    case GgufScales::plain:
    case GgufScales::with_minimum: return to_float(d);
    case GgufScales::six_bit_pairs: return to_float(d) * static_cast<float>(s[group]);
    case GgufScales::six_bit: return to_float(d) * static_cast<float>(s[group] - 32);
    case GgufScales::bytes: return to_float(d) * static_cast<float>(static_cast<std::int8_t>(s[group]));
  }
  return 0.0F;
}

float GgufBlockHeader::offset(GgufScales kind, int group) const noexcept {
  if (kind == GgufScales::with_minimum) return to_float(m);
  if (kind == GgufScales::six_bit_pairs) return -(to_float(m) * static_cast<float>(n[group]));
  return 0.0F;
}

const GgufRowLayout* gguf_row_layout(const WeightFormat& format) noexcept {
  const Entry* entry = find_entry(format);
  return entry != nullptr ? &entry->layout : nullptr;
}

void take_apart(const WeightFormat& format, const std::byte* stored, GgufBlock& block) noexcept {
  find_entry(format)->take(stored, block);
}

const WeightFormat& q4_0_format() { return kQ4_0Format; }
const WeightFormat& q4_1_format() { return kQ4_1Format; }
const WeightFormat& q5_0_format() { return kQ5_0Format; }
const WeightFormat& q5_1_format() { return kQ5_1Format; }
const WeightFormat& q8_0_format() { return kQ8_0Format; }
const WeightFormat& iq4_nl_format() { return kIq4NlFormat; }
const WeightFormat& q4_k_format() { return kQ4KFormat; }
const WeightFormat& q5_k_format() { return kQ5KFormat; }
const WeightFormat& q6_k_format() { return kQ6KFormat; }
const WeightFormat& iq4_xs_format() { return kIq4XsFormat; }

}  // namespace corbel
