#include "corbel/compile/triangular.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "corbel/compile/for_units.h"

// With P the reversal of rows and columns: P a P = L L^T, so a = (P L P) (P L P)^T, and U = P L^-1 P.

namespace corbel {
namespace {

constexpr std::int64_t kPanel = 32;
constexpr int kSums = 16;  // of a dot product: many of them, so that additions need not wait for each other

float dot(const float* a, const float* b, std::int64_t count) noexcept {
  float sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int k = 0; k < kSums; ++k) sums[k] += a[i + k] * b[i + k];
  for (int k = 0; i + k < count; ++k) sums[k] += a[i + k] * b[i + k];
  for (int half = kSums / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
  return sums[0];
}

void reverse(float* a, std::int64_t size) { std::reverse(a, a + size * size); }

/// The lower triangle of `a` becomes L.
bool factor(float* a, std::int64_t size, ThreadPool* pool) {
  for (std::int64_t panel = 0; panel < size; panel += kPanel) {
    const std::int64_t end = std::min(size, panel + kPanel);
    const auto solve = [&](std::int64_t row, std::int64_t last) {
      for (std::int64_t j = panel; j < last; ++j)
        a[row * size + j] = (a[row * size + j] - dot(a + row * size, a + j * size, j)) / a[j * size + j];
    };
    for (std::int64_t row = panel; row < end; ++row) {
      solve(row, row);
      const float square = a[row * size + row] - dot(a + row * size, a + row * size, row);
      if (!(square > 0.0F) || !std::isfinite(square)) return false;
      a[row * size + row] = std::sqrt(square);
    }
    for_units(pool, size - end, [&](std::int64_t unit) { solve(end + unit, end); });
  }
  return true;
}

/// Columns [first, last) of L^-1 into `inverse`.
void invert_columns(const float* lower, std::int64_t size, std::pair<std::int64_t, std::int64_t> columns,
                    float* inverse) {
  const auto [first, last] = columns;
  for (std::int64_t i = first; i < size; ++i) {
    float* const row = inverse + i * size;
    for (std::int64_t j = first; j < i; ++j) {
      const float factor = lower[i * size + j];
      const float* const other = inverse + j * size;
      for (std::int64_t c = first; c < last; ++c) row[c] -= factor * other[c];
    }
    const float one_over = 1.0F / lower[i * size + i];
    if (i < last) row[i] += 1.0F;
    for (std::int64_t c = first; c < last; ++c) row[c] *= one_over;
  }
}

}  // namespace

bool invert_to_upper(float* a, std::int64_t size, ThreadPool* pool) {
  reverse(a, size);
  if (!factor(a, size, pool)) {
    reverse(a, size);
    return false;
  }
  std::vector<float> inverse(static_cast<std::size_t>(size * size), 0.0F);
  constexpr std::int64_t kColumns = 64;
  for_units(pool, (size + kColumns - 1) / kColumns, [&](std::int64_t unit) {
    invert_columns(a, size, {unit * kColumns, std::min(size, (unit + 1) * kColumns)}, inverse.data());
  });
  std::copy(inverse.begin(), inverse.end(), a);
  reverse(a, size);
  return std::isfinite(a[0]);
}

}  // namespace corbel
