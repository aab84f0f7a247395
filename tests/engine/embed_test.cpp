#include "corbel/engine/embed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "corbel/engine/embedding_defaults.h"
#include "corbel/verify/golden.h"
#include "tests/engine/nan_model.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using Vectors = std::vector<std::vector<float>>;

const std::vector<std::string> kFolders = {"llama/goldens/mha_f32", "llama/goldens/mistral_window_bf16",
                                           "llama/goldens/rope_dynamic_long_f32", "llama/goldens/mqa_head_dim_f16",
                                           "qwen/goldens/qwen3_tied_stored_head_bf16"};
constexpr std::int64_t kContext = 320;

RunnerLimits embedding_limits(std::int64_t step_rows, std::int64_t sequences) {
  return {.step_rows = step_rows, .hidden_rows = step_rows, .sequences = sequences, .context_tokens = kContext};
}

struct TinyEmbedder {
  std::unique_ptr<StepRunner> runner;
  std::unique_ptr<Embedder> embedder;

  TinyEmbedder(TinyModel& tiny, const RunnerLimits& limits) {
    auto made = StepRunner::make(tiny.model(), *tiny.device, limits);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    runner = std::make_unique<StepRunner>(*std::move(made));
    auto opened = Embedder::make(*runner);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    embedder = std::make_unique<Embedder>(*std::move(opened));
  }
  Vectors embed(const std::vector<Ids>& texts, const EmbedOptions& options) {
    auto vectors = embed_texts(*embedder, texts, options);
    EXPECT_TRUE(vectors) << (vectors ? "" : vectors.error().message);
    return vectors ? *std::move(vectors) : Vectors();
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double relative_error(const std::vector<float>& actual, const std::vector<double>& expected) {
  double difference = 0.0, size = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

/// Rows of the golden's model.norm, pooled here.
std::vector<double> pooled_by_transformers(const Golden& golden, Pooling pooling) {
  const auto norm = golden.find("model.norm");
  EXPECT_TRUE(norm);
  const auto columns = static_cast<std::size_t>(norm->columns);
  const std::size_t rows = norm->numbers.size() / columns;
  std::vector<double> pooled(columns);
  for (std::size_t row = pooling == Pooling::last ? rows - 1 : 0; row < rows; ++row) {
    for (std::size_t d = 0; d < columns; ++d)
      pooled[d] += norm->numbers[row * columns + d] / (pooling == Pooling::last ? 1.0 : static_cast<double>(rows));
  }
  return pooled;
}

TEST(Embedder, GivesTransformersHiddenStatesAfterTheFinalNormPooled) {
  for (const char* folder :
       {"llama/goldens/mha_f32", "llama/goldens/mistral_window_bf16", "qwen/goldens/qwen3_tied_stored_head_bf16"}) {
    auto tiny = load_tiny_model({.folder = folder, .options = {.strategy = Strategy::accuracy}});
    ASSERT_NE(tiny, nullptr);
    auto golden = Golden::open(std::filesystem::path(CORBEL_SOURCE_DIR) / "models" / folder);
    ASSERT_TRUE(golden) << golden.error().message;
    TinyEmbedder open(*tiny, embedding_limits(8, 3));
    for (const Pooling pooling : {Pooling::last, Pooling::mean}) {
      const Vectors vectors = open.embed({golden->prompt()}, {.pooling = pooling, .normalize = false});
      ASSERT_EQ(vectors.size(), 1U);
      const std::vector<double> expected = pooled_by_transformers(*golden, pooling);
      ASSERT_EQ(vectors[0].size(), expected.size());
      EXPECT_LT(relative_error(vectors[0], expected), 1e-5) << folder << ' ' << pooling_name(pooling);
    }
  }
}

TEST(Embedder, AVectorIsTheSameBitsInAnyCompanyAtAnyChunkOnAnyThreadsAndLevel) {
  for (const std::string& folder : kFolders) {
    std::vector<Vectors> expected;  // per pooling
    for (const int threads : {1, 2}) {
      for (const TinyModelChoice& choice : every_level(folder, threads)) {
        auto tiny = load_tiny_model(choice);
        ASSERT_NE(tiny, nullptr);
        std::vector<Ids> texts;
        for (const std::int64_t length : {1, 70, 3, 130, 64, 2, 33}) texts.push_back(some_ids(*tiny, length, 7));
        for (const Pooling pooling : {Pooling::last, Pooling::mean}) {
          const EmbedOptions options{.pooling = pooling};
          if (expected.size() <= static_cast<std::size_t>(pooling)) {
            TinyEmbedder alone(*tiny, embedding_limits(512, 1));
            Vectors vectors;
            for (const Ids& text : texts) vectors.push_back(alone.embed({text}, options).at(0));
            expected.push_back(vectors);
          }
          for (const auto& [step_rows, sequences] : {std::pair{1, 2}, {7, 8}, {64, 3}, {512, 8}}) {
            TinyEmbedder open(*tiny, embedding_limits(step_rows, sequences));
            const Vectors vectors = open.embed(texts, options);
            ASSERT_EQ(vectors.size(), texts.size());
            for (std::size_t i = 0; i < texts.size(); ++i) {
              EXPECT_TRUE(same_bits(vectors[i], expected[static_cast<std::size_t>(pooling)][i]))
                  << folder << ' ' << choice.level << " threads " << threads << " rows " << step_rows << " text " << i;
            }
          }
        }
      }
    }
  }
}

TEST(Embedder, LengthDependentRotationGoesByTheTextNotByTheContext) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/rope_dynamic_long_f32"});
  ASSERT_NE(tiny, nullptr);
  ASSERT_TRUE(tiny->model().info().rope_by_length);
  const std::vector<Ids> texts = {some_ids(*tiny, 100, 3)};
  RunnerLimits limits = embedding_limits(64, 1);
  TinyEmbedder one(*tiny, limits);
  limits.context_tokens = 128;
  TinyEmbedder other(*tiny, limits);
  EXPECT_TRUE(same_bits(one.embed(texts, {}).at(0), other.embed(texts, {}).at(0)));
}

TEST(Embedder, DimensionsKeepTheFirstAndBringThemToLengthOneAgain) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinyEmbedder open(*tiny, embedding_limits(64, 2));
  const std::vector<Ids> texts = {some_ids(*tiny, 20, 3)};
  const std::vector<float> raw = open.embed(texts, {.normalize = false}).at(0);
  for (const std::int64_t dimensions : {std::int64_t{1}, std::int64_t{5}, std::ssize(raw)}) {
    const std::vector<float> cut = open.embed(texts, {.dimensions = dimensions}).at(0);
    ASSERT_EQ(std::ssize(cut), dimensions);
    double squares = 0.0;
    for (std::int64_t d = 0; d < dimensions; ++d) squares += double{raw[d]} * raw[d];
    for (std::int64_t d = 0; d < dimensions; ++d)
      EXPECT_FLOAT_EQ(cut[d], static_cast<float>(raw[d] / std::sqrt(squares)));
  }
}

TEST(ShapeEmbedding, AVectorOfZerosStaysZeros) {
  const std::vector<float> zeros(4);
  EXPECT_EQ(shape_embedding(zeros, {}), zeros);
}

TEST(Embedder, RefusesWhatItWouldHaveToCutAndWhatIsNoText) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinyEmbedder open(*tiny, embedding_limits(64, 2));
  const auto refusal = [&](Ids ids, const EmbedOptions& options) {
    const auto submitted = open.embedder->submit({.ids = std::move(ids), .options = options});
    return submitted ? std::string("taken") : submitted.error().message;
  };
  EXPECT_NE(refusal(some_ids(*tiny, 321, 1), {}).find("321 tokens, the context 320"), std::string::npos);
  EXPECT_NE(refusal({}, {}).find("no tokens"), std::string::npos);
  EXPECT_NE(refusal({1, 131}, {}).find("token 1 of the text has id 131"), std::string::npos);
  EXPECT_NE(refusal({1}, {.dimensions = 1000}).find("\"dimensions\" is 1000"), std::string::npos);
  EXPECT_FALSE(open.embedder->step());
  TinySession session(*tiny, {.context_tokens = 64});
  EXPECT_FALSE(Embedder::make(*session.runner));
}

TEST(Embedder, ANaNEndsItsOwnTextWithTheModuleAndTheOthersGoOn) {
  // Token 0's embedding alone is broken.
  const auto folder = with_nan("llama/goldens/mha_f32", "model.embed_tokens.weight");
  auto tiny = load_tiny_model({.folder = folder.string()});
  auto good = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_TRUE(tiny != nullptr && good != nullptr);
  TinyEmbedder open(*tiny, embedding_limits(64, 3));
  TinyEmbedder intact(*good, embedding_limits(64, 3));
  const std::vector<Ids> texts = {{5, 6, 7}, {5, 0, 7}, {8, 9}};
  std::vector<std::string> errors(3);
  Vectors vectors(3);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ASSERT_TRUE(open.embedder->submit({.ids = texts[i],
                                       .on_end = [&, i](std::vector<float> v) { vectors[i] = std::move(v); },
                                       .on_error = [&, i](const Error& error) { errors[i] = error.message; }}));
  }
  while (open.embedder->step()) continue;
  EXPECT_NE(errors[1].find("model.embed_tokens"), std::string::npos) << errors[1];
  EXPECT_TRUE(vectors[1].empty());
  for (const std::size_t i : {0U, 2U}) EXPECT_TRUE(same_bits(vectors[i], intact.embed({texts[i]}, {}).at(0)));
}

TEST(Embedder, ACancelledStepEndsItsTextsAndTheNextOnesRun) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinyEmbedder open(*tiny, embedding_limits(64, 2));
  const std::atomic<bool> cancel = true;
  const std::vector<Ids> texts = {{5, 6, 7}, {5, 0, 7}, {8, 9}};
  const auto cancelled = embed_texts(*open.embedder, texts, {}, &cancel);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, Code::cancelled);
  EXPECT_EQ(open.embedder->running() + open.embedder->waiting(), 0);
  EXPECT_EQ(open.embed(texts, {}).size(), 3U);
}

TEST(Embedder, CancelAllEndsWhatRunsAndWhatWaitsAndTheNextTextsRun) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinyEmbedder open(*tiny, embedding_limits(64, 2));
  const Ids text = {5, 6, 7, 8, 9};
  const Vectors before = open.embed({text}, {});
  std::vector<Code> ends;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(open.embedder->submit({.ids = Ids(40, 5),
                                       .on_end = [](const std::vector<float>&) { FAIL() << "a text was done"; },
                                       .on_error = [&](const Error& error) { ends.push_back(error.code); }}));
  }
  EXPECT_TRUE(open.embedder->step(nullptr, 8));
  EXPECT_EQ(open.embedder->running(), 2);
  open.embedder->cancel_all();
  EXPECT_EQ(ends, std::vector<Code>(5, Code::cancelled));
  EXPECT_EQ(open.embedder->running() + open.embedder->waiting(), 0);
  EXPECT_TRUE(same_bits(open.embed({text}, {})[0], before[0]));
}

TEST(EmbeddingJson, ReadsBackAsTheSameFloatsInBothForms) {
  const std::vector<float> values = {0.1F, -1.0F, 1e-30F, 3.0e8F, 0.0F, 0.333333343F};
  const std::string list = embedding_json(values, EmbeddingEncoding::number_list);
  const Json read = Json::parse(list);
  ASSERT_EQ(read.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(static_cast<float>(read[i].get<double>()), values[i]);
  // python3: base64.b64encode(struct.pack('<2f', 0.5, -2.0))
  EXPECT_EQ(embedding_json(std::vector<float>{0.5F, -2.0F}, EmbeddingEncoding::base64), "\"AAAAPwAAAMA=\"");
}

}  // namespace
}  // namespace corbel
