#include "corbel/format/gguf_packed.h"

#include <cstring>

namespace corbel {
namespace {

constexpr int kLine = 64;

std::uint32_t load_word(const void* p) noexcept {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
void store_word(std::uint32_t word, std::byte* p) noexcept { std::memcpy(p, &word, sizeof word); }

/// `bits` bits of four neighbouring bytes.
constexpr std::uint32_t four(std::uint32_t bits) { return bits * 0x01010101U; }

/// Replaces the bits of `mask` in a byte.
void put_bits(std::byte& byte, unsigned mask, int shift, unsigned value) noexcept {
  byte = (byte & ~static_cast<std::byte>(mask << shift)) | static_cast<std::byte>((value & mask) << shift);
}
std::uint8_t get_bits(std::byte byte, unsigned mask, int shift) noexcept {
  return static_cast<std::uint8_t>(std::to_integer<unsigned>(byte) >> shift & mask);
}

// A row's four columns are one word of a line, at byte 4 * row: planes are written and read word by word.

void store_low_plane(const std::uint8_t* codes, std::byte* plane, int row) noexcept {
  for (int j = 0; j < 32; ++j) {
    const std::uint32_t low = load_word(codes + 8 * j) & four(15);
    const std::uint32_t high = load_word(codes + 8 * j + 4) & four(15);
    store_word(low | high << 4, plane + j * kLine + 4 * row);
  }
}

void load_low_plane(const std::byte* plane, int row, std::uint8_t* codes) noexcept {
  for (int j = 0; j < 32; ++j) {
    const std::uint32_t word = load_word(plane + j * kLine + 4 * row);
    const std::uint32_t halves[2] = {word & four(15), word >> 4 & four(15)};
    std::memcpy(codes + 8 * j, halves, sizeof halves);
  }
}

/// The bits above a nibble: `bits` (1 or 2) of each code, 8 / bits columns to a byte.
void store_high_plane(const std::uint8_t* codes, int bits, std::byte* plane, int row) noexcept {
  const int columns = 32 / bits;  // of a line
  for (int i = 0; i < kPackedColumns / columns; ++i) {
    std::uint32_t word = 0;
    for (int t = 0; t < 8 / bits; ++t)
      word |= (load_word(codes + columns * i + 4 * t) >> 4 & four((1U << bits) - 1)) << (bits * t);
    store_word(word, plane + i * kLine + 4 * row);
  }
}

void add_high_plane(const std::byte* plane, int bits, int row, std::uint8_t* codes) noexcept {
  const int columns = 32 / bits;
  for (int i = 0; i < kPackedColumns / columns; ++i) {
    const std::uint32_t word = load_word(plane + i * kLine + 4 * row);
    for (int t = 0; t < 8 / bits; ++t) {
      std::uint8_t* const at = codes + columns * i + 4 * t;
      const std::uint32_t all = load_word(at) | (word >> (bits * t) & four((1U << bits) - 1)) << 4;
      std::memcpy(at, &all, sizeof all);
    }
  }
}

void store_codes(const PackedImportLayout& layout, const std::uint8_t* codes, int row, std::byte* planes) noexcept {
  if (layout.code_bits == 8) {
    for (int k = 0; k < 64; ++k) store_word(load_word(codes + 4 * k) ^ four(128), planes + k * kLine + 4 * row);
    return;
  }
  store_low_plane(codes, planes, row);
  if (layout.code_bits > 4) store_high_plane(codes, layout.code_bits - 4, planes + 32 * kLine, row);
}

void load_codes(const PackedImportLayout& layout, const std::byte* planes, int row, std::uint8_t* codes) noexcept {
  if (layout.code_bits == 8) {
    for (int k = 0; k < 64; ++k) {
      const std::uint32_t word = load_word(planes + k * kLine + 4 * row) ^ four(128);
      std::memcpy(codes + 4 * k, &word, sizeof word);
    }
    return;
  }
  load_low_plane(planes, row, codes);
  if (layout.code_bits > 4) add_high_plane(planes + 32 * kLine, layout.code_bits - 4, row, codes);
}

void store_half(float16 value, std::byte* p) noexcept { std::memcpy(p, &value, sizeof value); }
float16 load_half(const std::byte* p) noexcept {
  float16 value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Bits 0..3 of a number of group g, in a line whose nibbles are shared by groups g and g + 4.
void put_nibble(std::byte* line, int row, int g, unsigned value) noexcept {
  put_bits(line[16 * (g % 4) + row], 15, g / 4 * 4, value);
}
std::uint8_t get_nibble(const std::byte* line, int row, int g) noexcept {
  return get_bits(line[16 * (g % 4) + row], 15, g / 4 * 4);
}

void store_header(GgufScales scales, const PackedImportRow& parts, int row, std::byte* block) noexcept {
  const bool per_group = scales == GgufScales::plain || scales == GgufScales::with_minimum;
  for (int g = 0; per_group && g < 8; ++g) {
    store_half(parts.d[g], block + 32 * g + 2 * row);
    if (scales == GgufScales::with_minimum) store_half(parts.m[g], block + 256 + 32 * g + 2 * row);
  }
  if (per_group) return;
  store_half(parts.d[0], block + 2 * row);
  if (scales == GgufScales::bytes) {
    for (int g = 0; g < 16; ++g) block[kLine + 16 * g + row] = static_cast<std::byte>(parts.s[g]);
    return;
  }
  if (scales == GgufScales::six_bit_pairs) store_half(parts.m[0], block + 32 + 2 * row);
  for (int g = 0; g < 8; ++g) {
    put_nibble(block + kLine, row, g, parts.s[g]);
    if (scales == GgufScales::six_bit) {
      put_bits(block[32 + 16 * (g % 2) + row], 3, g / 2 * 2, static_cast<unsigned>(parts.s[g] >> 4));
      continue;
    }
    put_nibble(block + 2 * kLine, row, g, parts.n[g]);
    std::byte& high = block[3 * kLine + 16 * (g % 4) + row];
    put_bits(high, 3, g / 4 * 2, static_cast<unsigned>(parts.s[g] >> 4));
    put_bits(high, 3, 4 + g / 4 * 2, static_cast<unsigned>(parts.n[g] >> 4));
  }
}

void load_header(GgufScales scales, const std::byte* block, int row, PackedImportRow& parts) noexcept {
  const bool per_group = scales == GgufScales::plain || scales == GgufScales::with_minimum;
  for (int g = 0; per_group && g < 8; ++g) {
    parts.d[g] = load_half(block + 32 * g + 2 * row);
    if (scales == GgufScales::with_minimum) parts.m[g] = load_half(block + 256 + 32 * g + 2 * row);
  }
  if (per_group) return;
  parts.d[0] = load_half(block + 2 * row);
  if (scales == GgufScales::bytes) {
    for (int g = 0; g < 16; ++g) parts.s[g] = std::to_integer<std::uint8_t>(block[kLine + 16 * g + row]);
    return;
  }
  if (scales == GgufScales::six_bit_pairs) parts.m[0] = load_half(block + 32 + 2 * row);
  for (int g = 0; g < 8; ++g) {
    parts.s[g] = get_nibble(block + kLine, row, g);
    if (scales == GgufScales::six_bit) {
      parts.s[g] |= static_cast<std::uint8_t>(get_bits(block[32 + 16 * (g % 2) + row], 3, g / 2 * 2) << 4);
      continue;
    }
    const std::byte high = block[3 * kLine + 16 * (g % 4) + row];
    parts.s[g] |= static_cast<std::uint8_t>(get_bits(high, 3, g / 4 * 2) << 4);
    parts.n[g] =
        static_cast<std::uint8_t>(get_nibble(block + 2 * kLine, row, g) | get_bits(high, 3, 4 + g / 4 * 2) << 4);
  }
}

constexpr bool has_offsets(GgufScales scales) {
  return scales == GgufScales::with_minimum || scales == GgufScales::six_bit_pairs;
}

template <const PackedImportLayout& kLayout>
void unpack_import_row(const std::byte* block, int row, std::int8_t* integers, float* scales, float* offsets) noexcept {
  const PackedImportRow parts = load_import_row(kLayout, block, row);
  for (int i = 0; i < kPackedColumns; ++i) {
    integers[i] =
        kLayout.integers != nullptr ? kLayout.integers[parts.codes[i]] : static_cast<std::int8_t>(parts.codes[i]);
  }
  constexpr bool kPerGroup = kLayout.scales == GgufScales::plain || kLayout.scales == GgufScales::with_minimum;
  for (int g = 0; g < kLayout.groups; ++g) {
    const GgufBlockHeader header{parts.d[kPerGroup ? g : 0], parts.m[kPerGroup ? g : 0], parts.s, parts.n};
    scales[g] = header.scale(kLayout.scales, g);
    if constexpr (has_offsets(kLayout.scales)) offsets[g] = header.offset(kLayout.scales, g);
  }
}

// The integers of the rows' formats.
constexpr PackedImportLayout kQ4_0{4, 8, GgufScales::plain, kGgufFrom8.data()};
constexpr PackedImportLayout kQ4_1{4, 8, GgufScales::with_minimum, kGgufFrom0.data()};
constexpr PackedImportLayout kQ5_0{5, 8, GgufScales::plain, kGgufFrom16.data()};
constexpr PackedImportLayout kQ5_1{5, 8, GgufScales::with_minimum, kGgufFrom0.data()};
constexpr PackedImportLayout kQ8_0{8, 8, GgufScales::plain, nullptr};
constexpr PackedImportLayout kIq4Nl{4, 8, GgufScales::plain, kGgufUneven.data()};
constexpr PackedImportLayout kQ4K{4, 8, GgufScales::six_bit_pairs, kGgufFrom0.data()};
constexpr PackedImportLayout kQ5K{5, 8, GgufScales::six_bit_pairs, kGgufFrom0.data()};
constexpr PackedImportLayout kQ6K{6, 16, GgufScales::bytes, kGgufFrom32.data()};
constexpr PackedImportLayout kIq4Xs{4, 8, GgufScales::six_bit, kGgufUneven.data()};

template <const PackedImportLayout& kLayout>
constexpr PackedCodec kCodec{kLayout.groups, has_offsets(kLayout.scales), unpack_import_row<kLayout>, nullptr};

template <const PackedImportLayout& kLayout>
constexpr WeightFormat made(std::string_view name) {
  static_assert(kLayout.block_bytes() % kLine == 0);
  return {name, kPackedColumns, kLayout.block_bytes(), 0.0, nullptr, nullptr, &kCodec<kLayout>};
}

constexpr WeightFormat kQ4_0Format = made<kQ4_0>("p_q4_0");
constexpr WeightFormat kQ4_1Format = made<kQ4_1>("p_q4_1");
constexpr WeightFormat kQ5_0Format = made<kQ5_0>("p_q5_0");
constexpr WeightFormat kQ5_1Format = made<kQ5_1>("p_q5_1");
constexpr WeightFormat kQ8_0Format = made<kQ8_0>("p_q8_0");
constexpr WeightFormat kIq4NlFormat = made<kIq4Nl>("p_iq4_nl");
constexpr WeightFormat kQ4KFormat = made<kQ4K>("p_q4_k");
constexpr WeightFormat kQ5KFormat = made<kQ5K>("p_q5_k");
constexpr WeightFormat kQ6KFormat = made<kQ6K>("p_q6_k");
constexpr WeightFormat kIq4XsFormat = made<kIq4Xs>("p_iq4_xs");

struct Named {
  const WeightFormat* format;
  const PackedImportLayout* layout;
};
constexpr Named kNamed[] = {
    {&kQ4_0Format, &kQ4_0}, {&kQ4_1Format, &kQ4_1},   {&kQ5_0Format, &kQ5_0}, {&kQ5_1Format, &kQ5_1},
    {&kQ8_0Format, &kQ8_0}, {&kIq4NlFormat, &kIq4Nl}, {&kQ4KFormat, &kQ4K},   {&kQ5KFormat, &kQ5K},
    {&kQ6KFormat, &kQ6K},   {&kIq4XsFormat, &kIq4Xs},
};

}  // namespace

const PackedImportLayout* packed_import_layout(const WeightFormat& format) noexcept {
  for (const Named& named : kNamed)
    if (named.format == &format) return named.layout;
  return nullptr;
}

void store_import_row(const PackedImportLayout& layout, const PackedImportRow& parts, int row,
                      std::byte* block) noexcept {
  store_header(layout.scales, parts, row, block);
  store_codes(layout, parts.codes.data(), row, block + layout.header_bytes());
}

PackedImportRow load_import_row(const PackedImportLayout& layout, const std::byte* block, int row) noexcept {
  PackedImportRow parts;
  load_header(layout.scales, block, row, parts);
  load_codes(layout, block + layout.header_bytes(), row, parts.codes.data());
  return parts;
}

const WeightFormat& p_q4_0_format() { return kQ4_0Format; }
const WeightFormat& p_q4_1_format() { return kQ4_1Format; }
const WeightFormat& p_q5_0_format() { return kQ5_0Format; }
const WeightFormat& p_q5_1_format() { return kQ5_1Format; }
const WeightFormat& p_q8_0_format() { return kQ8_0Format; }
const WeightFormat& p_iq4_nl_format() { return kIq4NlFormat; }
const WeightFormat& p_q4_k_format() { return kQ4KFormat; }
const WeightFormat& p_q5_k_format() { return kQ5KFormat; }
const WeightFormat& p_q6_k_format() { return kQ6KFormat; }
const WeightFormat& p_iq4_xs_format() { return kIq4XsFormat; }

}  // namespace corbel
