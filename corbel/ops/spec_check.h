#pragma once
#include <cmath>
#include <cstdint>
#include <string_view>

#include "corbel/base/result.h"

/// What the checks of the ops have in common. Messages name the op, the field, what is expected and what was found.
namespace corbel {

/// No size of a spec exceeds this: products of two sizes and an element's bytes then stay inside 63 bits.
inline constexpr std::int64_t kMaxSize = std::int64_t{1} << 30;
/// Longest head: references and kernels keep a head's sums in fixed buffers.
inline constexpr std::int64_t kMaxHeadDim = 1024;

inline Failure refuse(std::string_view op, std::string_view what) {
  return fail(Code::unsupported, cat("op \"", op, "\": ", what));
}

inline Result<void> check_size(std::string_view op, std::string_view field, std::int64_t found,
                               std::int64_t high = kMaxSize, std::int64_t low = 1) {
  if (found >= low && found <= high) return {};
  return refuse(op, cat(field, " is ", found, ", it must be between ", low, " and ", high));
}

inline Result<void> check_finite(std::string_view op, std::string_view field, double found) {
  if (std::isfinite(found)) return {};
  return refuse(op, cat(field, " is ", found, ", it must be a finite number"));
}

inline Result<void> check_positive(std::string_view op, std::string_view field, double found) {
  if (std::isfinite(found) && found > 0.0) return {};
  return refuse(op, cat(field, " is ", found, ", it must be a finite number above 0"));
}

}  // namespace corbel
