#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "corbel/base/result.h"

/// How far two sets of numbers are apart. Sums are doubles. A NaN or an infinity on either side is a failure and shows
/// as an infinite error; no figure here is ever NaN, so that every comparison with a bound means what it says.
namespace corbel {

struct ElementPosition {
  std::int64_t row = 0;
  std::int64_t column = 0;
};
/// "[row 3, column 17]"
std::string to_string(ElementPosition position);

/// `actual` against `expected`, both [rows, columns]. With d = actual - expected, per row and over all:
struct Comparison {
  bool finite = true;                // every number on both sides is
  double worst_row_error = 0;        // max over rows of |d|_2 / |expected|_2; a zero row: 0 if d is zero, else infinity
  std::int64_t worst_row = 0;        // the first that has it
  double overall_error = 0;          // |d|_2 / |expected|_2 over all elements
  double pcc = 1;                    // Pearson correlation; 1 for equal constants, 0 where it is undefined
  double sqnr_db = 0;                // 10 log10(sum expected^2 / sum d^2), in [-infinity, infinity]
  double max_abs_diff = 0;           // max |d|
  ElementPosition max_abs_position;  // the first that has it
  std::optional<ElementPosition> first_bad;  // see compare_rows

  /// The verdict: every row's relative error is at most `bound`.
  bool within(double bound) const { return finite && worst_row_error <= bound; }
};

/// `row_bound` is the relative error that a row may have. first_bad is the first element, row by row, that is not
/// finite or whose |d| exceeds row_bound * |expected row|_2 / sqrt(columns), in a row that breaks the bound: it is set
/// exactly when some row does. Refuses sizes that differ or are no multiple of `columns` (> 0). No elements: all is
/// well. Worst-row error and not PCC is the gate: PCC is blind to scale and to one bad row in a hundred.
Result<Comparison> compare_rows(std::span<const float> actual, std::span<const float> expected, std::int64_t columns,
                                double row_bound);

/// Kullback-Leibler divergence KL(expected || actual) in nats of the distributions softmax(expected) and
/// softmax(actual), both [vocab]; at least 0. Infinity where a logit is not finite, sizes differ or there are none.
double kl_divergence(std::span<const float> actual, std::span<const float> expected);

/// Share, 0 to 1, of rows whose largest logit is at the same place; the lower place wins a tie. A row with a number
/// that is not finite disagrees. Both [rows, columns]; no rows: 1. Refuses sizes as compare_rows does.
Result<double> top1_agreement(std::span<const float> actual, std::span<const float> expected, std::int64_t columns);

}  // namespace corbel
