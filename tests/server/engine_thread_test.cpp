#include "corbel/server/engine_thread.h"

#include <gtest/gtest.h>

#include <future>

#include "corbel/device/device.h"
#include "tests/server/parrot_model.h"

namespace corbel {
namespace {

TEST(EngineThread, EndsEveryRequestItWasGivenWhenItGoes) {
  const ParrotModel model;
  const auto device = make_reference_device();
  auto runner =
      StepRunner::make(model, *device, {.step_rows = 64, .logit_rows = 10, .sequences = 2, .context_tokens = 640});
  ASSERT_TRUE(runner) << runner.error().message;
  const Tokenizer tokenizer = make_byte_tokenizer();
  constexpr std::size_t kRequests = 40;  // two run at once: some have ended, some run, some were never admitted
  std::vector<FinishReason> ends;
  {
    EngineThread thread(*runner, tokenizer, {});
    std::promise<void> submitted;
    thread.post([&](Engine& engine) {
      for (std::size_t i = 0; i < kRequests; ++i) {
        EngineRequest request{.prompt = {65, 66, 67}, .limits = {.max_tokens = 600, .ignore_eos = true}};
        request.on_end = [&ends](const GenerateResult& result) { ends.push_back(result.finish); };
        EXPECT_TRUE(engine.submit(std::move(request)));
      }
      submitted.set_value();
    });
    submitted.get_future().wait();
  }
  EXPECT_EQ(ends.size(), kRequests);
}

TEST(EngineThread, EndsRequestsWhoseWorkHasNotBegunToo) {
  const ParrotModel model;
  const auto device = make_reference_device();
  auto runner =
      StepRunner::make(model, *device, {.step_rows = 64, .logit_rows = 10, .sequences = 2, .context_tokens = 640});
  ASSERT_TRUE(runner) << runner.error().message;
  const Tokenizer tokenizer = make_byte_tokenizer();
  constexpr std::size_t kRequests = 200;
  std::size_t ended = 0;
  {
    EngineThread thread(*runner, tokenizer, {});
    for (std::size_t i = 0; i < kRequests; ++i) {
      thread.post([&ended](Engine& engine) {
        EngineRequest request{.prompt = {65, 66, 67}, .limits = {.max_tokens = 600, .ignore_eos = true}};
        request.on_end = [&ended](const GenerateResult&) { ++ended; };
        EXPECT_TRUE(engine.submit(std::move(request)));
      });
    }
  }
  EXPECT_EQ(ended, kRequests);
}

}  // namespace
}  // namespace corbel
