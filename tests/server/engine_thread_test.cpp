#include "corbel/server/engine_thread.h"

#include <gtest/gtest.h>

#include <future>

#include "corbel/device/device.h"
#include "tests/server/parrot_model.h"

namespace corbel {
namespace {

struct EngineThreads : testing::Test {
  /// Of an answer that nobody waits for.
  static EngineRequest request(std::function<void(const GenerateResult&)> on_end) {
    EngineRequest request{.prompt = {65, 66, 67}, .limits = {.max_tokens = 600, .ignore_eos = true}};
    request.on_end = std::move(on_end);
    return request;
  }
  ParrotModel model;
  std::unique_ptr<Device> device = make_reference_device();
  StepRunner runner =
      *StepRunner::make(model, *device, {.step_rows = 64, .logit_rows = 10, .sequences = 2, .context_tokens = 640});
  Tokenizer tokenizer = make_byte_tokenizer();
};

TEST_F(EngineThreads, EndsEveryRequestItWasGivenWhenItGoes) {
  constexpr std::size_t kRequests = 40;  // two run at once: some have ended, some run, some were never admitted
  std::vector<FinishReason> ends;
  {
    EngineThread thread(runner, tokenizer, {});
    std::promise<void> submitted;
    thread.post([&](Engine& engine) {
      for (std::size_t i = 0; i < kRequests; ++i) {
        EXPECT_TRUE(engine.submit(request([&](const GenerateResult& result) { ends.push_back(result.finish); })));
      }
      submitted.set_value();
    });
    submitted.get_future().wait();
  }
  EXPECT_EQ(ends.size(), kRequests);
}

TEST_F(EngineThreads, EndsRequestsWhoseWorkHasNotBegunToo) {
  constexpr std::size_t kRequests = 200;
  std::size_t ended = 0;
  {
    EngineThread thread(runner, tokenizer, {});
    for (std::size_t i = 0; i < kRequests; ++i) {
      thread.post([&ended](Engine& engine) {
        EXPECT_TRUE(engine.submit(request([&ended](const GenerateResult&) { ++ended; })));
      });
    }
  }
  EXPECT_EQ(ended, kRequests);
}

}  // namespace
}  // namespace corbel
