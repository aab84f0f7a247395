#pragma once
#include <cstdint>
#include <span>

#include "corbel/base/json.h"
#include "corbel/device/device.h"
#include "corbel/model/text_model.h"

namespace corbel {

/// How far one model's next-token distributions are from another's, over the rows of a text.
struct AnswerDifference {
  std::int64_t rows = 0;
  double kl_mean = 0.0;        // nats, KL(expected || actual)
  double kl_mean_error = 0.0;  // standard error of that mean, rows taken as independent
  double kl_median = 0.0, kl_p99 = 0.0, kl_max = 0.0;
  double top1 = 0.0;                                   // share of rows whose likeliest token is the same
  double perplexity = 0.0, expected_perplexity = 0.0;  // of the text's own next tokens
};

/// Fields named as above, the expected model A and the other one B: tokens, kl_mean, ..., perplexity_a, perplexity_b.
Json to_json(const AnswerDifference& difference);

/// Both models read `ids` in windows of `window_tokens`, each from an empty cache, and every row's logits are compared.
/// Memory: caches of one window and logits of 64 rows for each. Refused: vocabularies of two sizes, ids beyond them,
/// fewer than 2 ids or tokens of a window; logits that are not finite, as StepRunner::run() does.
Result<AnswerDifference> compare_answers(const TextModel& expected, const TextModel& actual, Device& device,
                                         std::span<const std::int32_t> ids, std::int64_t window_tokens);

}  // namespace corbel
