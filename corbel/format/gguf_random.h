#pragma once
#include <cstddef>
#include <cstdint>

#include "corbel/format/weight_format.h"

namespace corbel {

/// A matrix [rows, columns] of random codes and scales in a format of gguf_packed.h, for tests and benchmarks: only
/// importers write these formats otherwise. All codes and numbers of the header occur, scales of both signs, too;
/// values are finite and at most about `amplitude` (1e-3 to 1e3) in magnitude. The same seed gives the same bytes.
/// REQUIRES: packed_import_layout(format) != nullptr.
void fill_random_strips(const WeightFormat& format, std::int64_t rows, std::int64_t columns, float amplitude,
                        std::uint64_t seed, std::byte* matrix) noexcept;

}  // namespace corbel
