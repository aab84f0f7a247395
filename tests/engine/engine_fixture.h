#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "corbel/engine/engine.h"
#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/tiny_model.h"

namespace corbel {

inline constexpr std::int64_t kContext = 320;

/// What matters of an answer.
struct Said {
  std::vector<std::int32_t> ids;
  std::string text;
  FinishReason finish = FinishReason::stop;
  bool operator==(const Said&) const = default;
};

struct Wanted {
  std::vector<std::int32_t> prompt;
  SamplingOptions sampling;
  std::int64_t max_tokens = 8;
  std::vector<std::string> stops;
  std::int32_t priority = 0;
};

/// Requests of mixed lengths; many begin alike.
inline std::vector<Wanted> some_requests(const TinyModel& tiny, int count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Wanted> all;
  for (int i = 0; i < count; ++i) {
    Wanted wanted;
    wanted.prompt = some_ids(tiny, 1 + random() % 200, random() % 3);
    if (random() % 2 == 0) wanted.prompt.push_back(static_cast<std::int32_t>(random() % 128));
    wanted.sampling.temperature = random() % 3 == 0 ? 0.0 : 1.3;
    wanted.sampling.seed = random();
    if (random() % 4 == 0) wanted.sampling.repetition_penalty = 1.2;
    wanted.max_tokens = 1 + random() % 70;
    if (random() % 4 == 0) wanted.stops = {"a", "Q"};
    wanted.priority = static_cast<std::int32_t>(random() % 3);
    all.push_back(wanted);
  }
  return all;
}

class EngineTest : public testing::Test {
 protected:
  /// On "cpu" with so many threads; what each answer is when it is alone, by a session.
  void open(const std::string& folder, int threads = 1) {
    tiny_ = load_tiny_model({.folder = folder, .threads = threads});
    ASSERT_NE(tiny_, nullptr);
  }
  Said alone(const Wanted& wanted) {
    TinySession session(*tiny_, {.step_rows = 64, .context_tokens = kContext});
    GenerateOptions options;
    options.sampling = wanted.sampling;
    options.max_tokens = wanted.max_tokens;
    options.stop_strings = wanted.stops;
    auto result = generate(*session.session, tokenizer_, wanted.prompt, options);
    EXPECT_TRUE(result);
    return {result->ids, result->text, result->finish};
  }
  EngineRequest request_of(const Wanted& wanted, Said& to) {
    EngineRequest request;
    request.prompt = wanted.prompt;
    request.sampling = wanted.sampling;
    request.limits = {.max_tokens = wanted.max_tokens, .stop_strings = wanted.stops};
    request.priority = wanted.priority;
    request.on_text = [&to](const AnswerPiece& piece) { to.text += piece.text; };
    request.on_end = [&to, this](const GenerateResult& result) {
      EXPECT_EQ(to.text, result.text);
      to.ids = result.ids;
      cached_tokens_ = result.figures.cached_tokens;
      to.finish = result.finish;
      ++ended_;
    };
    request.on_error = [](const Error& error) { ADD_FAILURE() << error.message; };
    return request;
  }
  std::unique_ptr<StepRunner> runner(const RunnerLimits& limits) {
    auto made = StepRunner::make(tiny_->model(), *tiny_->device, limits);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return std::make_unique<StepRunner>(*std::move(made));
  }
  static RunnerLimits limits(std::int64_t sequences, std::int64_t step_rows, std::int64_t pages = 0) {
    return {.step_rows = step_rows,
            .logit_rows = sequences,
            .sequences = sequences,
            .context_tokens = kContext,
            .pages = pages};
  }
  /// All requests at once; the pool is whole again at the end, but for what the prefix cache holds.
  std::vector<Said> together(const std::vector<Wanted>& all, const RunnerLimits& limits, bool prefix_cache,
                             Drafts drafts = Drafts::where_they_pay) {
    const auto run = runner(limits);
    Engine engine(*run, tokenizer_, {.prefix_cache = prefix_cache, .drafts = drafts});
    std::vector<Said> answers(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto id = engine.submit(request_of(all[i], answers[i]));
      EXPECT_TRUE(id) << (id ? "" : id.error().message);
    }
    while (engine.step()) continue;
    figures_ = engine.figures();
    EXPECT_EQ(figures_.running + figures_.waiting, 0);
    EXPECT_EQ(figures_.free_pages + figures_.prefix.pages, figures_.pages);
    return answers;
  }

  std::unique_ptr<TinyModel> tiny_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
  EngineFigures figures_;
  int ended_ = 0;
  std::int64_t cached_tokens_ = 0;  // of the request that ended last
};

}  // namespace corbel
