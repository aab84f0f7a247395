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

}  // namespace

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
  return check_bias(logit_bias, vocab);
}

}  // namespace corbel
