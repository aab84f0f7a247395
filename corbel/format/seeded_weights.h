#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "corbel/tensor/dtype.h"

namespace corbel {

/// A tensor whose values follow from a seed and its name, so that real shapes can be tested and measured without
/// gigabytes of files. tools/golden/seeded.py makes the same bits.
struct SeededTensor {
  std::uint64_t seed = 1;
  std::string_view name;  // as in a checkpoint, "model.layers.0.mlp.up_proj.weight": its suffix decides mean and spread
  DType dtype = DType::bf16;  // f32, bf16 or f16
  std::span<const std::int64_t> shape;
};

/// Writes elements first_element, first_element + 1, ... (row-major) until `out` is full. Any split gives the same
/// bytes, so threads may fill slices. out.size() is a multiple of the element's size and stays inside the tensor.
///
///   key       = FNV-1a-64(name) ^ seed
///   hash(j)   = mix(key + (j + 1) * 0x9e3779b97f4a7c15), mix: the finalizer of splitmix64
///   sum(i)    = both 16-bit halves of the low (i even) or high (i odd) 32 bits of hash(i / 2), added, - 65535
///   value(i)  = float(offset + sum(i)) * scale: an exact integer below 2^24, one rounding in float, one to dtype
///   scale     = float(sigma / 26754.6), offset = floor(mean * 26754.6 / sigma + 0.5); mean and sigma by role,
///               sigma divided by sqrt(last axis) for projections (table in the source)
/// In embeddings and heads about one row in 1024 is 16 times as large ("loud": mix((key ^ 0x5851f42d4c957f2d) +
/// (row + 1) * 0x9e3779b97f4a7c15) % 1024 == 0), so that a few tokens stand out and greedy choices are clear.
void fill_seeded(const SeededTensor& tensor, std::int64_t first_element, std::span<std::byte> out) noexcept;

}  // namespace corbel
