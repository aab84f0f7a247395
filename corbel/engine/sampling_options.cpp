#include "corbel/engine/sampling_options.h"

#include <algorithm>
#include <cmath>

namespace corbel {
namespace {

Failure refuse(std::string_view name, double value, std::string_view range) {
  return fail(Code::bad_request, cat(name, " is ", value, "; it must be ", range));
}

Result<void> check_bias(const std::vector<TokenBias>& entries, std::int64_t vocab) {
  constexpr float kMostBias = 100.0F;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const TokenBias& entry = entries[i];
    if (entry.id < 0 || entry.id >= vocab) {
      return fail(Code::bad_request,
                  cat("logit_bias names token ", entry.id, "; it must be between 0 and ", vocab - 1));
    }
    if (!(std::abs(entry.bias) <= kMostBias)) {
      return refuse(cat("logit_bias of token ", entry.id), static_cast<double>(entry.bias), "between -100 and 100");
    }
    if (i > 0 && entries[i - 1].id >= entry.id) {
      return fail(Code::bad_request, cat("logit_bias has token ", entry.id, " after ", entries[i - 1].id,
                                         "; its tokens must ascend, each once (sort_bias)"));
    }
  }
  return {};
}

Result<void> check_dry(const SamplingOptions& options) {
  constexpr std::size_t kMostBreakers = 64;
  constexpr std::size_t kMostBytes = 64;
  if (!(options.dry_multiplier >= 0.0 && options.dry_multiplier <= 100.0))
    return refuse("dry_multiplier", options.dry_multiplier, "between 0 and 100");
  if (!(options.dry_base >= 1.0 && options.dry_base <= 100.0))
    return refuse("dry_base", options.dry_base, "between 1 and 100");
  if (options.dry_allowed_length < 1)
    return refuse("dry_allowed_length", static_cast<double>(options.dry_allowed_length), "1 or more");
  if (options.dry_penalty_last_n < -1)
    return refuse("dry_penalty_last_n", static_cast<double>(options.dry_penalty_last_n), "-1 (all tokens) or more");
  if (options.dry_sequence_breakers.size() > kMostBreakers)
    return fail(Code::bad_request, cat("dry_sequence_breakers has ", options.dry_sequence_breakers.size(),
                                       " texts; at most ", kMostBreakers));
  for (const std::string& breaker : options.dry_sequence_breakers) {
    if (breaker.empty() || breaker.size() > kMostBytes)
      return fail(Code::bad_request, cat("dry_sequence_breakers has a text of ", breaker.size(),
                                         " bytes; each must have 1 to ", kMostBytes));
  }
  return {};
}

}  // namespace

double SamplingOptions::dry_penalty(std::int64_t tokens) const noexcept {
  constexpr double kMost = 1e6;
  // By squaring: the same products on every machine.
  double penalty = dry_multiplier;
  double power = dry_base;
  for (std::int64_t more = tokens - dry_allowed_length; more > 0 && penalty > 0.0 && penalty < kMost; more /= 2) {
    if (more % 2 == 1) penalty *= power;
    power *= power;
  }
  return std::min(penalty, kMost);
}

void SamplingOptions::sort_bias() {
  std::ranges::stable_sort(logit_bias, {}, &TokenBias::id);
  const auto last_of_id = std::unique(logit_bias.rbegin(), logit_bias.rend(),
                                      [](const TokenBias& a, const TokenBias& b) { return a.id == b.id; });
  logit_bias.erase(logit_bias.begin(), last_of_id.base());
}

Result<void> SamplingOptions::validate(std::int64_t vocab) const {
  const auto between = [](double value, double low, double high) { return value >= low && value <= high; };
  if (!(temperature >= 0.0 && std::isfinite(temperature))) return refuse("temperature", temperature, "0 or more");
  if (top_k < 0) return refuse("top_k", static_cast<double>(top_k), "0 (all tokens) or more");
  if (!(top_p > 0.0 && top_p <= 1.0)) return refuse("top_p", top_p, "above 0 and at most 1");
  if (!between(min_p, 0.0, 1.0)) return refuse("min_p", min_p, "between 0 and 1");
  if (!(typical_p > 0.0 && typical_p <= 1.0)) return refuse("typical_p", typical_p, "above 0 and at most 1");
  if (!between(repetition_penalty, 0.01, 100.0)) {
    return refuse("repetition_penalty", repetition_penalty, "between 0.01 and 100");
  }
  if (!between(presence_penalty, -2.0, 2.0)) return refuse("presence_penalty", presence_penalty, "between -2 and 2");
  if (!between(frequency_penalty, -2.0, 2.0)) {
    return refuse("frequency_penalty", frequency_penalty, "between -2 and 2");
  }
  if (penalty_window < 0) {
    return refuse("penalty_window", static_cast<double>(penalty_window), "0 (all tokens) or more");
  }
  if (!between(xtc_probability, 0.0, 1.0)) return refuse("xtc_probability", xtc_probability, "between 0 and 1");
  if (!(xtc_threshold > 0.0 && xtc_threshold <= 1.0)) {
    return refuse("xtc_threshold", xtc_threshold, "above 0 and at most 1");
  }
  CORBEL_TRY(check_dry(*this));
  return check_bias(logit_bias, vocab);
}

}  // namespace corbel
