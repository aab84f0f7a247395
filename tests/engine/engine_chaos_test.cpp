// Devices that fail and memory that is refused: the others go on, nothing leaks. A program of its own: it replaces the
// global operator new.
#include <cstdlib>
#include <new>

#include "corbel/verify/faulty_device.h"
#include "tests/engine/engine_fixture.h"

namespace {

thread_local std::int64_t allocations = 0;
thread_local std::int64_t refuse_at = -1;  // the allocation that fails, counted down; negative: none

void* counted(std::size_t bytes) {
  ++allocations;
  if (refuse_at >= 0 && refuse_at-- == 0) throw std::bad_alloc();
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return counted(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t bytes, const std::nothrow_t& nothrow) noexcept { return operator new(bytes, nothrow); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace corbel {
namespace {

using testing::HasSubstr;

class EngineChaos : public EngineTest {
 protected:
  struct Outcome {
    Said said;
    std::string error;
    int endings = 0;
  };
  EngineRequest watched(const Wanted& wanted, Outcome& outcome) {
    EngineRequest request = request_of(wanted, outcome.said);
    // What callbacks need themselves is not refused: it is not the engine's.
    request.on_text = [&outcome](const AnswerPiece& piece) {
      const std::int64_t later = std::exchange(refuse_at, -1);
      outcome.said.text += piece.text;
      refuse_at = later;
    };
    request.on_end = [&outcome](const GenerateResult& result) {
      refuse_at = -1;
      outcome.said.ids = result.ids;
      outcome.said.finish = result.finish;
      ++outcome.endings;
    };
    request.on_error = [&outcome](const Error& error) {
      refuse_at = -1;
      outcome.error = error.message;
      ++outcome.endings;
    };
    return request;
  }
};

TEST_F(EngineChaos, AStepThatFailsIsRunAgainAndOneThatFailsTwiceEndsWhatWasInIt) {
  open("llama/goldens/mha_f32");
  const std::vector<Wanted> all = some_requests(*tiny_, 20, 5);
  std::vector<Said> expected;
  for (const Wanted& wanted : all) expected.push_back(alone(wanted));
  FaultyDevice device(*tiny_->device);
  auto loaded = load_text_model(std::filesystem::path(CORBEL_SOURCE_DIR) / "models/llama/goldens/mha_f32", device,
                                linked_model_families());
  ASSERT_TRUE(loaded);
  auto run = StepRunner::make(*loaded->model, device, limits(4, 32, 14));
  ASSERT_TRUE(run);
  for (const int in_a_row : {1, 2}) {
    Engine engine(*run, tokenizer_);
    std::vector<Outcome> found(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_TRUE(engine.submit(watched(all[i], found[i])));
    int steps = 0;
    device.set_on_finish([&]() -> Result<void> {
      if (++steps % 17 >= in_a_row) return {};
      return fail(Code::device_failed, "the device is on fire");
    });
    while (engine.step()) continue;
    int failed = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(found[i].endings, 1) << i;
      if (found[i].error.empty()) {
        EXPECT_EQ(found[i].said, expected[i]) << i;
      } else {
        EXPECT_THAT(found[i].error, HasSubstr("on fire"));
        ++failed;
      }
    }
    EXPECT_GT(engine.figures().failed_steps, 3);
    EXPECT_EQ(failed > 0, in_a_row > 1);
    EXPECT_LT(failed, 20);
    EXPECT_EQ(engine.figures().free_pages + engine.figures().prefix.pages, engine.figures().pages);
  }
}

TEST_F(EngineChaos, RefusedMemoryEndsOneRequestAtMostAndNothingLeaks) {
  open("llama/goldens/mha_f32");
  const std::vector<Wanted> all = some_requests(*tiny_, 24, 5);
  std::vector<Said> expected;
  for (const Wanted& wanted : all) expected.push_back(alone(wanted));
  const auto run = runner(limits(4, 32, 14));
  std::mt19937 random(3);
  int refused = 0;
  for (int round = 0; round < 20; ++round) {
    Engine engine(*run, tokenizer_);
    std::vector<Outcome> found(all.size());
    std::size_t next = 0;
    while (true) {
      if (next < all.size()) {
        EngineRequest request = watched(all[next], found[next]);
        refuse_at = static_cast<std::int64_t>(random() % 60);
        const auto submitted = engine.submit(std::move(request));
        refuse_at = -1;
        if (!submitted) {
          EXPECT_EQ(submitted.error().code, Code::no_memory);
          found[next].error = "refused";
          ++found[next].endings;
        }
        ++next;
      }
      refuse_at = random() % 3 == 0 ? static_cast<std::int64_t>(random() % 20) : -1;
      const bool more = engine.step();
      refuse_at = -1;
      if (!more && next == all.size()) break;
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(found[i].endings, 1) << "round " << round << " request " << i;
      if (found[i].error.empty()) {
        EXPECT_EQ(found[i].said, expected[i]) << "round " << round << " request " << i;
      } else {
        ++refused;
      }
    }
    const EngineFigures figures = engine.figures();
    EXPECT_EQ(figures.running + figures.waiting, 0);
    EXPECT_EQ(figures.free_pages + figures.prefix.pages, figures.pages);
  }
  EXPECT_GT(refused, 20);
  EXPECT_LT(refused, 20 * 20);
}

TEST_F(EngineChaos, ARequestThatWaitsAloneForMemoryIsTriedTwiceAndThenFails) {
  open("llama/goldens/mha_f32");
  const std::vector<Wanted> all = some_requests(*tiny_, 1, 5);
  const auto run = runner(limits(4, 32, 14));
  for (const int refusals : {1, 2}) {
    Engine engine(*run, tokenizer_);
    Outcome found;
    ASSERT_TRUE(engine.submit(watched(all[0], found)));
    for (int i = 0; i < refusals; ++i) {
      refuse_at = 0;  // the first thing that being admitted takes
      EXPECT_TRUE(engine.step());
      refuse_at = -1;
    }
    while (engine.step()) continue;
    EXPECT_EQ(found.endings, 1);
    if (refusals == 1)
      EXPECT_EQ(found.said, alone(all[0]));
    else
      EXPECT_THAT(found.error, HasSubstr("memory"));
  }
}

TEST_F(EngineChaos, ADecodeStepAllocatesNothing) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(4, 64));
  Engine engine(*run, tokenizer_);
  std::size_t told = 0;
  for (int i = 0; i < 4; ++i) {
    EngineRequest request;
    request.prompt = some_ids(*tiny_, 50 + 30 * i, static_cast<std::uint32_t>(i));
    request.limits.max_tokens = 150;
    request.sampling = {.temperature = i % 2 == 0 ? 0.0 : 1.0, .top_p = 0.9};
    if (i == 1) request.sampling.dry_multiplier = 0.8;
    if (i == 2) request.sampling.logit_bias = {{5, 1.0F}};
    if (i == 3) {
      request.sampling.repetition_penalty = 1.1;
      request.sampling.frequency_penalty = 0.2;
      request.limits.stop_strings = {"no such text"};
      request.limits.min_tokens = 150;
    }
    request.on_text = [&told](const AnswerPiece& piece) { told += piece.text.size(); };
    ASSERT_TRUE(engine.submit(std::move(request)));
  }
  for (int warm = 0; warm < 20; ++warm) engine.step();
  const std::int64_t before = allocations;
  for (int step = 0; step < 70; ++step) engine.step();  // more than a page of each sequence
  EXPECT_EQ(allocations - before, 0);
  EXPECT_EQ(engine.figures().running, 4);
  EXPECT_GT(told, 0U);
}

}  // namespace
}  // namespace corbel
