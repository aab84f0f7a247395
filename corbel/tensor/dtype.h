#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

/// Views of numbers in memory: element types, shapes, strides, where the bytes live, and the arena that scratch comes
/// from.
namespace corbel {

/// Element types of activations and of unpacked weights. Quantized weights are formats (corbel/format), not dtypes.
enum class DType : std::uint8_t { f32, bf16, f16, i8, u8, i32, i64 };

constexpr std::int64_t dtype_bytes(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::f16: return 2;
    case DType::i8:
    case DType::u8: return 1;
    case DType::i64: return 8;
  }
  return 0;
}

constexpr std::string_view dtype_name(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f16: return "f16";
    case DType::i8: return "i8";
    case DType::u8: return "u8";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
  }
  return "?";
}
inline std::string to_string(DType dtype) { return std::string(dtype_name(dtype)); }

/// The upper 16 bits of an IEEE float.
struct bfloat16 {  // NOLINT(readability-identifier-naming): reads like a built-in type
  std::uint16_t bits = 0;
};

constexpr float to_float(bfloat16 value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays a quiet NaN.
constexpr bfloat16 to_bfloat16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// IEEE binary16.
struct float16 {  // NOLINT(readability-identifier-naming): reads like a built-in type
  std::uint16_t bits = 0;
};

/// Exact: every binary16 value is a binary32 value.
constexpr float to_float(float16 value) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  if (magnitude >= 0x0400u) return std::bit_cast<float>(sign | ((magnitude + 0x1c000u) << 13));
  // Subnormal: the value is magnitude * 2^-24, which float holds exactly.
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24f));
}

/// Rounds to nearest, ties to even, subnormals included; 65520 and beyond become infinity, NaN stays a quiet NaN.
constexpr float16 to_float16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu))};
  if (magnitude >= 0x47800000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  if (magnitude >= 0x38800000u) {
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return {static_cast<std::uint16_t>(sign | ((rounded >> 13) - 0x1c000u))};
  }
  // Below 2^-14: neighbours of 0.5f are 2^-24 apart, just as binary16 subnormals are, so the addition does the
  // rounding.
  const auto shifted = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
  return {static_cast<std::uint16_t>(sign | (shifted - 0x3f000000u))};
}

}  // namespace corbel
