#include "corbel/verify/answer_difference.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "corbel/engine/step_runner.h"
#include "corbel/metrics/compare.h"

namespace corbel {
namespace {

constexpr std::int64_t kChunkRows = 64;  // logits of so many rows are held at a time

/// Logits [rows, vocab] of a chunk of a window, valid until the runner's next step.
Result<std::span<const float>> run_chunk(const TextModel& model, StepRunner& runner, std::span<const std::int32_t> ids,
                                         std::size_t first) {
  StepPlan plan;
  plan.sequences = 1;
  plan.max_pages = static_cast<std::int32_t>(runner.pages_per_sequence());
  std::vector<std::int32_t> pages(static_cast<std::size_t>(plan.max_pages));
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<std::int32_t>(i);
  plan.page_tables.assign(model.info().cache.groups.size(), pages);
  const auto rows = static_cast<std::int32_t>(ids.size());
  plan.prefill = {{.sequence = 0,
                   .first_slot = static_cast<std::int32_t>(first),
                   .rows = rows,
                   .logit_rows = rows,
                   .rope_length = static_cast<std::int32_t>(runner.limits().context_tokens)}};
  plan.tokens.assign(ids.begin(), ids.end());
  CORBEL_ASSIGN(const TensorView logits, runner.run(plan));
  return std::span<const float>(static_cast<const float*>(logits.data),
                                ids.size() * static_cast<std::size_t>(model.info().vocab));
}

double nats_of(std::span<const float> logits, std::int32_t token) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest - logits[static_cast<std::size_t>(token)];
}

std::int64_t likeliest(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

struct Tally {
  std::vector<double> kl;
  std::int64_t agreed = 0, predicted = 0;
  double nats = 0.0, expected_nats = 0.0;  // of the text's next tokens

  void add(std::span<const float> actual, std::span<const float> expected, std::optional<std::int32_t> next) {
    kl.push_back(kl_divergence(actual, expected));
    agreed += likeliest(actual) == likeliest(expected) ? 1 : 0;
    if (!next) return;
    ++predicted;
    nats += nats_of(actual, *next);
    expected_nats += nats_of(expected, *next);
  }

  AnswerDifference sum_up() {
    std::sort(kl.begin(), kl.end());
    const auto rows = static_cast<double>(kl.size());
    const auto at = [&](double share) { return kl[static_cast<std::size_t>(share * (rows - 1.0))]; };
    AnswerDifference sums{.rows = std::ssize(kl), .kl_median = at(0.5), .kl_p99 = at(0.99), .kl_max = kl.back()};
    double square = 0.0;
    for (const double value : kl) sums.kl_mean += value / rows;
    for (const double value : kl) square += (value - sums.kl_mean) * (value - sums.kl_mean) / rows;
    sums.kl_mean_error = std::sqrt(square / rows);
    sums.top1 = static_cast<double>(agreed) / rows;
    sums.perplexity = std::exp(nats / static_cast<double>(predicted));
    sums.expected_perplexity = std::exp(expected_nats / static_cast<double>(predicted));
    return sums;
  }
};

Result<void> check_ids(std::span<const std::int32_t> ids, std::int64_t window_tokens, std::int64_t vocab) {
  if (std::ssize(ids) < 2 || window_tokens < 2)
    return fail(Code::bad_request,
                cat("comparing answers takes 2 tokens or more; found ", ids.size(), ", in windows of ", window_tokens));
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab)
      return fail(Code::bad_request, cat("token ", id, " of the text; the model's vocabulary ends at ", vocab - 1));
  }
  return {};
}

}  // namespace

Json to_json(const AnswerDifference& difference) {
  return {{"tokens", difference.rows},
          {"kl_mean", difference.kl_mean},
          {"kl_mean_error", difference.kl_mean_error},
          {"kl_median", difference.kl_median},
          {"kl_p99", difference.kl_p99},
          {"kl_max", difference.kl_max},
          {"top1", difference.top1},
          {"perplexity_a", difference.expected_perplexity},
          {"perplexity_b", difference.perplexity}};
}

Result<AnswerDifference> compare_answers(const TextModel& expected, const TextModel& actual, Device& device,
                                         std::span<const std::int32_t> ids, std::int64_t window_tokens) {
  if (expected.info().vocab != actual.info().vocab)
    return fail(Code::bad_request, cat("answers cannot be compared: vocabularies of ", expected.info().vocab, " and ",
                                       actual.info().vocab, " tokens"));
  CORBEL_TRY(check_ids(ids, window_tokens, expected.info().vocab));
  const RunnerLimits limits{
      .step_rows = kChunkRows, .logit_rows = kChunkRows, .sequences = 1, .context_tokens = window_tokens};
  CORBEL_ASSIGN(StepRunner expected_runner, StepRunner::make(expected, device, limits));
  CORBEL_ASSIGN(StepRunner actual_runner, StepRunner::make(actual, device, limits));
  Tally tally;
  const auto vocab = static_cast<std::size_t>(expected.info().vocab);
  const auto longest = static_cast<std::size_t>(window_tokens);
  for (std::size_t begin = 0; begin < ids.size(); begin += longest) {
    const auto window = ids.subspan(begin, std::min(longest, ids.size() - begin));
    for (std::size_t first = 0; first < window.size(); first += kChunkRows) {
      const auto chunk = window.subspan(first, std::min<std::size_t>(kChunkRows, window.size() - first));
      CORBEL_ASSIGN(const auto wanted, run_chunk(expected, expected_runner, chunk, first));
      CORBEL_ASSIGN(const auto found, run_chunk(actual, actual_runner, chunk, first));
      for (std::size_t row = 0; row < chunk.size(); ++row) {
        const bool has_next = first + row + 1 < window.size();
        tally.add(found.subspan(row * vocab, vocab), wanted.subspan(row * vocab, vocab),
                  has_next ? std::optional(window[first + row + 1]) : std::nullopt);
      }
    }
  }
  return tally.sum_up();
}

}  // namespace corbel
