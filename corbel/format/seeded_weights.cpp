#include "corbel/format/seeded_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "corbel/base/check.h"

namespace corbel {
namespace {

constexpr std::uint64_t kGoldenRatio = 0x9e3779b97f4a7c15u;
constexpr std::uint64_t kRowSalt = 0x5851f42d4c957f2du;
constexpr double kSigmaOfSum = 26754.6;  // standard deviation of the sum of two uniform 16-bit numbers, to six digits
constexpr std::uint64_t kLoudOneIn = 1024;
constexpr float kLoudFactor = 16.0f;  // a power of two: no rounding

struct Role {
  std::string_view suffix;
  double mean;
  double sigma;
  bool per_fan_in;  // sigma is divided by sqrt(last axis)
  bool loud_rows;
};

// The first suffix that matches holds. Queries and keys are large, so that attention is far from uniform.
constexpr std::array<Role, 11> kRoles = {{
    {"q_norm.weight", 1.6, 0.2, false, false},
    {"k_norm.weight", 1.6, 0.2, false, false},
    {"norm.weight", 1.0, 0.1, false, false},
    {".bias", 0.0, 0.25, false, false},
    {"embed_tokens.weight", 0.0, 0.005, false, true},
    {"lm_head.weight", 0.0, 0.02, false, true},
    {"q_proj.weight", 0.0, 1.5, true, false},
    {"k_proj.weight", 0.0, 1.5, true, false},
    {"o_proj.weight", 0.0, 2.0, true, false},
    {"down_proj.weight", 0.0, 2.0, true, false},
    {"", 0.0, 1.25, true, false},
}};

const Role& role_of(std::string_view name) noexcept {
  return *std::find_if(kRoles.begin(), kRoles.end(), [&](const Role& role) { return name.ends_with(role.suffix); });
}

constexpr std::uint64_t fnv1a(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// Source: Sebastiano Vigna, splitmix64.c (public domain).
constexpr std::uint64_t mix(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// How integers become values: the same for a whole tensor, or for one row of a tensor with loud rows.
struct Line {
  std::uint64_t key;
  std::int32_t offset;
  float scale;
};

float value_of(std::uint32_t half, const Line line) noexcept {
  const auto sum = static_cast<std::int32_t>(half & 0xffffu) + static_cast<std::int32_t>(half >> 16);
  return static_cast<float>(sum + line.offset) * line.scale;
}

template <typename T>
T stored(float value) noexcept {
  if constexpr (std::is_same_v<T, bfloat16>)
    return to_bfloat16(value);
  else if constexpr (std::is_same_v<T, float16>)
    return to_float16(value);
  else
    return value;
}

template <typename T>
void put(std::byte* out, float value) noexcept {
  const T element = stored<T>(value);
  std::memcpy(out, &element, sizeof(T));
}

/// Elements [first, first + count): a hash serves two neighbours, so odd ends are done by halves.
/// `line` is a copy on purpose: stores of bytes through a reference would make the compiler reload it every time.
template <typename T>
void fill_line(const Line line, std::int64_t first, std::int64_t count, std::byte* out) noexcept {
  constexpr std::int64_t kSize = sizeof(T);
  const std::int64_t last = first + count;
  const auto hash = [&](std::int64_t pair) {
    return mix(line.key + (static_cast<std::uint64_t>(pair) + 1) * kGoldenRatio);
  };
  if (first % 2 != 0 && first < last) {
    put<T>(out, value_of(static_cast<std::uint32_t>(hash(first / 2) >> 32), line));
    out += kSize;
    ++first;
  }
  const std::int64_t pairs = last / 2 - first / 2;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    const std::uint64_t both = hash(first / 2 + pair);
    put<T>(out + pair * 2 * kSize, value_of(static_cast<std::uint32_t>(both), line));
    put<T>(out + pair * 2 * kSize + kSize, value_of(static_cast<std::uint32_t>(both >> 32), line));
  }
  if (last % 2 != 0 && first < last)
    put<T>(out + pairs * 2 * kSize, value_of(static_cast<std::uint32_t>(hash(last / 2)), line));
}

void fill(DType dtype, const Line& line, std::int64_t first, std::span<std::byte> out) noexcept {
  const std::int64_t count = static_cast<std::int64_t>(out.size()) / dtype_bytes(dtype);
  if (dtype == DType::bf16)
    fill_line<bfloat16>(line, first, count, out.data());
  else if (dtype == DType::f16)
    fill_line<float16>(line, first, count, out.data());
  else
    fill_line<float>(line, first, count, out.data());
}

}  // namespace

void fill_seeded(const SeededTensor& tensor, std::int64_t first_element, std::span<std::byte> out) noexcept {
  CORBEL_CHECK(tensor.dtype == DType::f32 || tensor.dtype == DType::bf16 || tensor.dtype == DType::f16,
               "seeded weights are floating point, not ", dtype_name(tensor.dtype));
  const std::int64_t bytes = dtype_bytes(tensor.dtype);
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor.shape) elements *= size;
  CORBEL_CHECK(first_element >= 0 && first_element + static_cast<std::int64_t>(out.size()) / bytes <= elements,
               "elements from ", first_element, " on leave tensor ", tensor.name);
  if (out.empty()) return;
  const Role& role = role_of(tensor.name);
  const std::int64_t columns = tensor.shape.back();
  const double sigma = role.per_fan_in ? role.sigma / std::sqrt(static_cast<double>(columns)) : role.sigma;
  const auto offset = static_cast<std::int32_t>(std::floor(role.mean * kSigmaOfSum / sigma + 0.5));
  const Line line{fnv1a(tensor.name) ^ tensor.seed, offset - 65535, static_cast<float>(sigma / kSigmaOfSum)};
  if (!role.loud_rows) return fill(tensor.dtype, line, first_element, out);
  const std::int64_t row_elements = elements / tensor.shape.front();
  while (!out.empty()) {
    const std::int64_t row = first_element / row_elements;
    const std::int64_t left = (row + 1) * row_elements - first_element;
    const std::size_t size = std::min(out.size(), static_cast<std::size_t>(left * bytes));
    Line row_line = line;
    const std::uint64_t hash = mix((line.key ^ kRowSalt) + (static_cast<std::uint64_t>(row) + 1) * kGoldenRatio);
    if (hash % kLoudOneIn == 0) row_line.scale *= kLoudFactor;
    fill(tensor.dtype, row_line, first_element, out.first(size));
    out = out.subspan(size);
    first_element += left;
  }
}

}  // namespace corbel
