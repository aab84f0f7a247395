#include "corbel/verify/answer_difference.h"

#include <gmock/gmock.h>

#include <cmath>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/step_runner.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

namespace corbel {
namespace {

using testing::HasSubstr;

class AnswerDifferences : public testing::Test {
 protected:
  void SetUp() override {
    pool_ = *ThreadPool::make(2);
    device_ = *linked_devices().front().make({}, *pool_);
    for (int i = 0; i < 150; ++i) ids_.push_back((i * i * 7 + 11 * i + 3) % 4000);
  }
  LoadedModel load(const std::string& folder, const ModelOptions& options) const {
    return load_text_model(std::filesystem::path(CORBEL_SOURCE_DIR) / folder, *device_, linked_model_families(),
                           options)
        .value();
  }
  LoadedModel exact() const { return load("share/pico", {Strategy::accuracy}); }
  LoadedModel rounded() const { return load("share/pico", {Strategy::memory}); }

  /// Log probabilities of a whole window in one step.
  std::vector<std::vector<double>> read(const TextModel& model, std::span<const std::int32_t> window) const {
    const std::int64_t rows = std::ssize(window);
    StepRunner runner =
        StepRunner::make(model, *device_, {.step_rows = rows, .logit_rows = rows, .context_tokens = rows}).value();
    StepPlan plan;
    plan.sequences = 1;
    plan.max_pages = static_cast<std::int32_t>(runner.pages_per_sequence());
    std::vector<std::int32_t> pages;
    for (std::int32_t i = 0; i < plan.max_pages; ++i) pages.push_back(i);
    plan.page_tables.assign(model.info().cache.groups.size(), pages);
    const auto count = static_cast<std::int32_t>(rows);
    plan.prefill = {{.rows = count, .logit_rows = count, .rope_length = count}};
    plan.tokens.assign(window.begin(), window.end());
    const TensorView logits = runner.run(plan).value();
    std::vector<std::vector<double>> all;
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* const from = static_cast<const float*>(logits.data) + row * model.info().vocab;
      std::vector<double>& values = all.emplace_back(from, from + model.info().vocab);
      double sum = 0.0;
      for (const double value : values) sum += std::exp(value);
      for (double& value : values) value -= std::log(sum);
    }
    return all;
  }

  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Device> device_;
  std::vector<std::int32_t> ids_;
};

TEST_F(AnswerDifferences, AModelIsNowhereFromItself) {
  const LoadedModel model = exact();
  const auto found = compare_answers(*model.model, *model.model, *device_, ids_, 100);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->rows, 150);
  EXPECT_EQ(found->kl_max, 0.0);
  EXPECT_EQ(found->top1, 1.0);
  EXPECT_EQ(found->perplexity, found->expected_perplexity);
}

TEST_F(AnswerDifferences, AreThoseOfWholeWindowsReadInOneStep) {
  const LoadedModel a = exact();
  const LoadedModel b = rounded();
  const auto found = compare_answers(*a.model, *b.model, *device_, ids_, 100);
  ASSERT_TRUE(found) << found.error().message;
  double kl = 0.0, nats = 0.0;
  int agreed = 0;
  for (const auto& [begin, count] : {std::pair{0, 100}, std::pair{100, 50}}) {
    const auto window = std::span(ids_).subspan(begin, count);
    const auto expected = read(*a.model, window);
    const auto actual = read(*b.model, window);
    for (int row = 0; row < count; ++row) {
      for (std::size_t i = 0; i < expected[row].size(); ++i)
        kl += std::exp(expected[row][i]) * (expected[row][i] - actual[row][i]) / 150.0;
      agreed += std::ranges::max_element(expected[row]) - expected[row].begin() ==
                std::ranges::max_element(actual[row]) - actual[row].begin();
      if (row + 1 < count) nats -= actual[row][static_cast<std::size_t>(window[row + 1])] / 148.0;
    }
  }
  EXPECT_GT(found->kl_mean, 1e-7);
  EXPECT_NEAR(found->kl_mean, kl, 1e-6 * kl + 1e-9);
  EXPECT_EQ(found->top1, agreed / 150.0);
  EXPECT_NEAR(found->perplexity, std::exp(nats), 1e-6 * std::exp(nats));
  EXPECT_LE(found->kl_median, found->kl_p99);
  EXPECT_LE(found->kl_p99, found->kl_max);
}

TEST_F(AnswerDifferences, RefuseOtherVocabulariesAndTextsOfNothing) {
  const LoadedModel model = exact();
  const LoadedModel other = load("models/llama/goldens/gqa_tied_sharded_bf16", {});
  const auto refusal = [&](const LoadedModel& b, std::span<const std::int32_t> ids, std::int64_t window) {
    const auto found = compare_answers(*model.model, *b.model, *device_, ids, window);
    return found ? std::string("accepted") : found.error().message;
  };
  EXPECT_THAT(refusal(other, ids_, 100), HasSubstr("vocabularies of 4096 and "));
  EXPECT_THAT(refusal(model, std::span(ids_).first(1), 100), HasSubstr("takes 2 tokens or more; found 1"));
  EXPECT_THAT(refusal(model, ids_, 1), HasSubstr("in windows of 1"));
  ids_[3] = 4096;
  EXPECT_THAT(refusal(model, ids_, 100), HasSubstr("token 4096 of the text; the model's vocabulary ends at 4095"));
}

}  // namespace
}  // namespace corbel
