#include "corbel/model/text_model.h"

#include <gmock/gmock.h>

#include <vector>

#include "corbel/device/run_context.h"

namespace corbel {
namespace {

/// Notes what each pass through the layers was asked to keep.
class NotingModel : public TextModel {
 public:
  NotingModel() {
    info_.vocab = 2;
    info_.hidden = 1;
    info_.layers = 2;
  }
  const TextModelInfo& info() const override { return info_; }
  void embed(const StepInputs&, const TensorView&, RunContext&) const noexcept override {}
  void run_layers(int, int, const StepInputs& step, const TensorView&, const CacheView&,
                  RunContext&) const noexcept override {
    kept_.push_back(step.keeps_wanted_rows);
  }
  void final_hidden(const StepInputs&, const TensorView&, const TensorView&, RunContext&) const noexcept override {}
  void head(const StepInputs& step, const TensorView&, const TensorView&, RunContext&) const noexcept override {
    heads_.push_back(step.keeps_wanted_rows);
  }

  /// Of one step of `rows`; whether head() was told the same.
  std::vector<bool> kept(std::int64_t rows, std::int64_t wanted, RunContext context) const {
    kept_.clear();
    heads_.clear();
    forward({.rows = rows, .logit_rows = wanted}, {}, {}, context);
    EXPECT_EQ(kept_, heads_);
    std::vector<bool> kept = kept_;
    kept_.clear();
    forward_hidden({.rows = rows, .logit_rows = wanted}, {}, {}, context);
    EXPECT_EQ(kept_, kept);
    return kept;
  }

 private:
  TextModelInfo info_;
  mutable std::vector<bool> kept_;
  mutable std::vector<bool> heads_;
};

void watch(void*, std::string_view, std::string_view, const TensorView&) {}

using testing::ElementsAre;

TEST(TextModel, StepsLeaveOutTheUnwantedRowsOfTheLastLayerUnlessSomebodyWatches) {
  alignas(Arena::kAlignment) std::byte memory[4096];
  Arena scratch(memory, sizeof memory);
  const NotingModel model;
  EXPECT_THAT(model.kept(5, 2, {.scratch = &scratch}), ElementsAre(true));
  EXPECT_THAT(model.kept(5, 0, {.scratch = &scratch}), ElementsAre(true));
  EXPECT_THAT(model.kept(5, 5, {.scratch = &scratch}), ElementsAre(false));
  EXPECT_THAT(model.kept(5, 2, {.scratch = &scratch, .tap_function = watch}), ElementsAre(false));
}

TEST(TextModel, ScratchIsMeasuredForAllRowsAndForTheWantedOnesAlone) {
  Arena measuring;
  const NotingModel model;
  EXPECT_THAT(model.kept(5, 5, {.scratch = &measuring}), ElementsAre(false, true));
}

}  // namespace
}  // namespace corbel
