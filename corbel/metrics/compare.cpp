#include "corbel/metrics/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "corbel/base/cat.h"

namespace corbel {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Row = std::span<const float>;

Result<void> check_sizes(Row actual, Row expected, std::int64_t columns) {
  if (columns <= 0) return fail(Code::bad_request, cat("cannot compare rows of ", columns, " columns"));
  if (actual.size() != expected.size())
    return fail(Code::bad_request,
                cat("cannot compare ", actual.size(), " numbers with ", expected.size(), " expected ones"));
  if (actual.size() % static_cast<std::size_t>(columns) != 0)
    return fail(Code::bad_request, cat("cannot compare ", actual.size(), " numbers as rows of ", columns));
  return {};
}

bool all_finite(Row row) {
  return std::all_of(row.begin(), row.end(), [](float value) { return std::isfinite(value); });
}

double difference(float actual, float expected) { return double{actual} - double{expected}; }

/// |d| / |expected| from their squares.
double relative(double square_difference, double square_expected) {
  if (square_difference == 0) return 0;
  return square_expected == 0 ? kInfinity : std::sqrt(square_difference / square_expected);
}

struct RowSums {
  bool finite = true;
  double expected = 0;  // sum of squares
  double difference = 0;
  double error() const { return finite ? relative(difference, expected) : kInfinity; }
};

RowSums sum_row(Row actual, Row expected) {
  if (!all_finite(actual) || !all_finite(expected)) return {.finite = false};
  RowSums sums;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double d = difference(actual[i], expected[i]);
    sums.expected += double{expected[i]} * double{expected[i]};
    sums.difference += d * d;
  }
  return sums;
}

/// The first element of a row over the bound that carries more than its share of the error, or is not finite.
std::int64_t first_bad_column(Row actual, Row expected, const RowSums& sums, double row_bound) {
  const double limit = row_bound * std::sqrt(sums.expected / static_cast<double>(actual.size()));
  double largest = 0;
  std::size_t at_largest = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double d = std::abs(difference(actual[i], expected[i]));
    const bool bad = sums.finite ? d > limit : !std::isfinite(actual[i]) || !std::isfinite(expected[i]);
    if (bad) return static_cast<std::int64_t>(i);
    if (d > largest) largest = d, at_largest = i;
  }
  return static_cast<std::int64_t>(at_largest);  // only rounding of the sums leads here
}

double pearson(Row actual, Row expected) {
  const auto count = static_cast<double>(actual.size());
  double mean_actual = 0;
  double mean_expected = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    mean_actual += actual[i];
    mean_expected += expected[i];
  }
  mean_actual /= count;
  mean_expected /= count;
  double variance_actual = 0;
  double variance_expected = 0;
  double covariance = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double a = actual[i] - mean_actual;
    const double e = expected[i] - mean_expected;
    variance_actual += a * a;
    variance_expected += e * e;
    covariance += a * e;
  }
  if (variance_actual == 0 || variance_expected == 0)
    return std::equal(actual.begin(), actual.end(), expected.begin()) ? 1 : 0;
  return std::clamp(covariance / (std::sqrt(variance_actual) * std::sqrt(variance_expected)), -1.0, 1.0);
}

double decibels(double signal, double noise) {
  if (noise == 0) return kInfinity;
  return signal == 0 ? -kInfinity : 10 * std::log10(signal / noise);
}

void find_largest_difference(Row actual, Row expected, std::int64_t row, Comparison& result) {
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const bool finite = std::isfinite(actual[i]) && std::isfinite(expected[i]);
    const double d = finite ? std::abs(difference(actual[i], expected[i])) : kInfinity;
    if (d <= result.max_abs_diff) continue;
    result.max_abs_diff = d;
    result.max_abs_position = {row, static_cast<std::int64_t>(i)};
  }
}

/// log(softmax(logits)) of finite logits.
std::vector<double> log_softmax(Row logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  const double log_sum = largest + std::log(sum);
  std::vector<double> result;
  result.reserve(logits.size());
  for (const float logit : logits) result.push_back(logit - log_sum);
  return result;
}

}  // namespace

std::string to_string(ElementPosition position) {
  return cat("[row ", position.row, ", column ", position.column, ']');
}

Result<Comparison> compare_rows(Row actual, Row expected, std::int64_t columns, double row_bound) {
  CORBEL_TRY(check_sizes(actual, expected, columns));
  Comparison result;
  result.sqnr_db = kInfinity;
  if (actual.empty()) return result;
  const auto width = static_cast<std::size_t>(columns);
  RowSums all;
  for (std::size_t begin = 0; begin < actual.size(); begin += width) {
    const auto row = static_cast<std::int64_t>(begin / width);
    const Row a = actual.subspan(begin, width);
    const Row e = expected.subspan(begin, width);
    const RowSums sums = sum_row(a, e);
    all.finite = all.finite && sums.finite;
    all.expected += sums.expected;
    all.difference += sums.difference;
    if (sums.error() > result.worst_row_error) {
      result.worst_row_error = sums.error();
      result.worst_row = row;
    }
    if (!result.first_bad && !(sums.error() <= row_bound))
      result.first_bad = ElementPosition{row, first_bad_column(a, e, sums, row_bound)};
    find_largest_difference(a, e, row, result);
  }
  result.finite = all.finite;
  result.overall_error = all.error();
  result.pcc = all.finite ? pearson(actual, expected) : 0;
  result.sqnr_db = all.finite ? decibels(all.expected, all.difference) : -kInfinity;
  return result;
}

double kl_divergence(Row actual, Row expected) {
  if (actual.size() != expected.size() || actual.empty() || !all_finite(actual) || !all_finite(expected))
    return kInfinity;
  const std::vector<double> log_p = log_softmax(expected);
  const std::vector<double> log_q = log_softmax(actual);
  double sum = 0;
  for (std::size_t i = 0; i < log_p.size(); ++i) sum += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
  return std::max(sum, 0.0);
}

Result<double> top1_agreement(Row actual, Row expected, std::int64_t columns) {
  CORBEL_TRY(check_sizes(actual, expected, columns));
  if (actual.empty()) return 1.0;
  const auto width = static_cast<std::size_t>(columns);
  std::size_t same = 0;
  for (std::size_t begin = 0; begin < actual.size(); begin += width) {
    const Row a = actual.subspan(begin, width);
    const Row e = expected.subspan(begin, width);
    if (!all_finite(a) || !all_finite(e)) continue;
    const auto top = [](Row row) { return std::max_element(row.begin(), row.end()) - row.begin(); };
    if (top(a) == top(e)) ++same;
  }
  return static_cast<double>(same) / static_cast<double>(actual.size() / width);
}

}  // namespace corbel
