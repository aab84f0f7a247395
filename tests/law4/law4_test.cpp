// Logits of one model on one device and level are the same bits, however a prompt is cut into steps, whatever else runs
// in the same step, wherever its pages lie and however many threads there are. Equality, not tolerance.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/step_runner.h"
#include "corbel/format/hf_folder.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "tests/law4/packed_source.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

struct Law4Case {
  std::string model;  // below models/: "llama/goldens/mha_f32"
  std::int32_t prompt_tokens = 0;
  std::string device;
  std::string level;
  Strategy strategy = Strategy::balanced;
  bool seeded = false;                           // only a config is there; weights are made up
  const WeightFormat* packed = nullptr;          // matrices are packed so; null: as the checkpoint has them
  std::optional<DType> kv_cache = std::nullopt;  // empty: by the strategy
};

// A page has 64 tokens, a key block 128, an attention chunk 1024: the long prompts cross all three.
constexpr std::int32_t kLongPrompt = 1131;
constexpr std::int32_t kRealPrompt = 141;
constexpr std::int32_t kPackedPrompt = 517;  // rows cross every size of tile of the packed kernels
constexpr const char* kTinyModels[] = {"llama/goldens/gqa_tied_sharded_bf16", "llama/goldens/mistral_window_bf16",
                                       "llama/goldens/attention_bias_f32", "qwen/goldens/qwen3_window_bf16",
                                       "qwen/goldens/qwen2_yarn_f16"};
constexpr const char* kRealShape = "llama/goldens/real/tinyllama-dynamic";

/// Every packed format on every level. Every model on the best level; on the others, which the conformance test holds
/// to the same references, one with bf16 products and one with windows. The real shape is for the best level: others
/// take minutes.
std::vector<Law4Case> all_cases() {
  std::vector<Law4Case> cases;
  for (const DeviceEntry& device : linked_devices()) {
    for (const std::string& level : device.levels()) {
      const bool is_best = level == device.levels().front();
      for (const Strategy strategy : {Strategy::accuracy, Strategy::balanced}) {
        for (const char* model : kTinyModels) {
          const std::string_view name = model;
          if (!is_best && !name.ends_with("gqa_tied_sharded_bf16") && !name.ends_with("qwen3_window_bf16")) continue;
          cases.push_back({model, kLongPrompt, device.name, level, strategy, false});
        }
      }
      for (const char* model : kTinyModels) {
        const std::string_view name = model;
        if (!name.ends_with("gqa_tied_sharded_bf16") && !(is_best && name.ends_with("qwen3_window_bf16"))) continue;
        cases.push_back({model, kLongPrompt, device.name, level, Strategy::balanced, false, nullptr, DType::i8});
      }
      if (is_best) cases.push_back({kRealShape, kRealPrompt, device.name, level, Strategy::balanced, true});
      for (const WeightFormat* format : weight_formats()) {
        if (format->packed == nullptr) continue;
        cases.push_back(
            {"qwen/goldens/qwen3_window_bf16", kPackedPrompt, device.name, level, Strategy::balanced, false, format});
      }
    }
  }
  return cases;
}

std::string case_name(const testing::TestParamInfo<Law4Case>& info) {
  std::string name = cat(info.param.model, "_", info.param.device, "_", info.param.level, "_",
                         info.param.packed != nullptr ? info.param.packed->name : strategy_name(info.param.strategy),
                         info.param.kv_cache ? cat("_cache_", *info.param.kv_cache) : "");
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

/// A device with its threads, a model on it, and the memory to run it.
struct Machine {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;
  std::unique_ptr<TextModel> model;
  std::unique_ptr<StepRunner> runner;
};

/// Made once per program: hundreds of megabytes.
std::shared_ptr<const TensorSource> seeded_weights() {
  static const auto weights =
      std::make_shared<const SeededSource>(11, DType::bf16, std::vector<std::string>{"lm_head.weight"});
  return weights;
}

Result<std::unique_ptr<TextModel>> make_model(const Law4Case& param, const Device& device) {
  const fs::path folder = fs::path(CORBEL_SOURCE_DIR) / "models" / param.model;
  const std::vector<ModelFamily> families = linked_model_families();
  if (param.packed != nullptr) {
    CORBEL_ASSIGN(const Json config, read_json_file(folder / "config.json"));
    CORBEL_ASSIGN(std::shared_ptr<const TensorSource> source, open_hf_folder(folder));
    return make_text_model(config, "config.json", std::make_shared<PackedSource>(std::move(source), *param.packed),
                           device, families, {param.strategy, param.kv_cache});
  }
  if (!param.seeded) {
    CORBEL_ASSIGN(LoadedModel loaded, load_text_model(folder, device, families, {param.strategy, param.kv_cache}));
    return std::move(loaded.model);
  }
  CORBEL_ASSIGN(Json config, read_json_file(folder / "config.json"));
  config["num_hidden_layers"] = 1;
  return make_text_model(config, "config.json", seeded_weights(), device, families, {param.strategy, param.kv_cache});
}

Result<Machine> make_machine(const Law4Case& param, int threads) {
  Machine machine;
  CORBEL_ASSIGN(machine.pool, ThreadPool::make(threads));
  for (const DeviceEntry& entry : linked_devices()) {
    if (entry.name != param.device) continue;
    CORBEL_ASSIGN(machine.device, entry.make({.level = param.level}, *machine.pool));
  }
  CORBEL_ASSIGN(machine.model, make_model(param, *machine.device));
  const std::int64_t rows = param.prompt_tokens;
  CORBEL_ASSIGN(
      StepRunner runner,
      StepRunner::make(*machine.model, *machine.device,
                       {.step_rows = 2 * rows, .logit_rows = 2 * rows, .sequences = 2, .context_tokens = rows}));
  machine.runner = std::make_unique<StepRunner>(std::move(runner));
  return machine;
}

/// A sequence on its way: what has been computed of it, and where its pages lie.
struct Sequence {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> pages;
  std::int32_t done = 0;
  std::vector<float> logits;  // [done, vocab]
  std::vector<char> wanted;   // [done] whether logits of the row were asked for; else they are zeros here

  std::int32_t left() const { return static_cast<std::int32_t>(tokens.size()) - done; }
};

struct Advance {
  Sequence* sequence = nullptr;
  std::int32_t rows = 0;
  bool decode = false;       // one row, as a decode row
  std::int32_t wanted = -1;  // logits of the last so many rows; -1: of all
  std::int32_t wanted_rows() const { return wanted < 0 ? rows : wanted; }
};

/// One step that moves every sequence of `moves` on; prefill spans come first, as plans have them.
void run_step(StepRunner& runner, std::vector<Advance> moves) {
  std::stable_partition(moves.begin(), moves.end(), [](const Advance& move) { return !move.decode; });
  StepPlan plan;
  plan.sequences = static_cast<std::int32_t>(moves.size());
  plan.max_pages = static_cast<std::int32_t>(runner.pages_per_sequence());
  std::vector<std::int32_t> table;
  for (std::int32_t i = 0; i < plan.sequences; ++i) {
    const Sequence& sequence = *moves[i].sequence;
    const StepPlan::Span span{.sequence = i,
                              .first_slot = sequence.done,
                              .rows = moves[i].rows,
                              .logit_rows = moves[i].wanted_rows(),
                              .rope_length = static_cast<std::int32_t>(sequence.tokens.size())};
    (moves[i].decode ? plan.decode : plan.prefill).push_back(span);
    const auto first = sequence.tokens.begin() + sequence.done;
    plan.tokens.insert(plan.tokens.end(), first, first + moves[i].rows);
    table.insert(table.end(), sequence.pages.begin(), sequence.pages.end());
  }
  plan.page_tables.assign(runner.model().info().cache.groups.size(), table);
  const auto logits = runner.run(plan);
  ASSERT_TRUE(logits) << logits.error().message;
  const Rows<const float> rows(*logits);
  std::int64_t row = 0;
  for (const Advance& move : moves) {
    Sequence& sequence = *move.sequence;
    const std::int32_t unwanted = move.rows - move.wanted_rows();
    sequence.logits.resize(sequence.logits.size() + static_cast<std::size_t>(unwanted * logits->columns()));
    sequence.wanted.insert(sequence.wanted.end(), static_cast<std::size_t>(unwanted), 0);
    sequence.wanted.insert(sequence.wanted.end(), static_cast<std::size_t>(move.wanted_rows()), 1);
    for (std::int32_t i = unwanted; i < move.rows; ++i, ++row)
      sequence.logits.insert(sequence.logits.end(), rows[row], rows[row] + logits->columns());
    sequence.done += move.rows;
  }
}

Sequence make_sequence(const StepRunner& runner, std::int32_t tokens, std::uint32_t seed) {
  std::mt19937 random(seed);
  Sequence sequence;
  for (std::int32_t i = 0; i < tokens; ++i)
    sequence.tokens.push_back(
        static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(runner.model().info().vocab)));
  sequence.pages.resize(static_cast<std::size_t>(runner.pages_per_sequence()));
  std::iota(sequence.pages.begin(), sequence.pages.end(), 0);
  return sequence;
}

Sequence in_one_prefill(StepRunner& runner, Sequence sequence) {
  run_step(runner, {{&sequence, sequence.left(), false}});
  return sequence;
}

void expect_same_bits(const Sequence& found, const Sequence& expected, const std::string& how) {
  ASSERT_EQ(found.logits.size(), expected.logits.size()) << how;
  const std::size_t columns = expected.logits.size() / expected.tokens.size();
  for (std::size_t row = 0; row < expected.tokens.size(); ++row) {
    if (found.wanted[row] == 0) continue;
    const float* a = found.logits.data() + row * columns;
    const float* b = expected.logits.data() + row * columns;
    if (std::memcmp(a, b, columns * sizeof(float)) == 0) continue;
    std::size_t column = 0;
    while (std::memcmp(a + column, b + column, sizeof(float)) == 0) ++column;
    FAIL() << how << ": first different logit at position " << row << ", token " << column << ": " << a[column]
           << " in place of " << b[column];
  }
}

class Law4 : public testing::TestWithParam<Law4Case> {
 protected:
  /// The truth of this case: one prefill on one thread.
  void SetUp() override {
    auto machine = make_machine(GetParam(), 1);
    ASSERT_TRUE(machine) << machine.error().message;
    single_ = std::make_unique<Machine>(std::move(*machine));
    expected_ = in_one_prefill(*single_->runner, make_sequence(*single_->runner, GetParam().prompt_tokens, 1));
    ASSERT_EQ(expected_.left(), 0);
    auto second = make_machine(GetParam(), 2);
    ASSERT_TRUE(second) << second.error().message;
    double_ = std::make_unique<Machine>(std::move(*second));
  }

  void for_both(const std::function<void(StepRunner&, const std::string&)>& check) {
    check(*single_->runner, "1 thread");
    check(*double_->runner, "2 threads");
  }

  std::unique_ptr<Machine> single_, double_;
  Sequence expected_;
};

TEST_P(Law4, ThreadsDoNotMoveBits) {
  const Sequence found = in_one_prefill(*double_->runner, make_sequence(*double_->runner, GetParam().prompt_tokens, 1));
  expect_same_bits(found, expected_, "one prefill on 2 threads");
}

TEST_P(Law4, OnePrefillEqualsTokenByTokenDecode) {
  for_both([&](StepRunner& runner, const std::string& threads) {
    Sequence sequence = make_sequence(runner, GetParam().prompt_tokens, 1);
    // On two threads the last 140 tokens, which cross a page, a key block and a chunk: ops of one row are too short to
    // be shared, and waiting for a busy machine's second processor takes longer than all of them.
    if (&runner == double_->runner.get() && sequence.left() > 140)
      run_step(runner, {{&sequence, sequence.left() - 140, false}});
    while (sequence.left() > 0) run_step(runner, {{&sequence, 1, true}});
    expect_same_bits(sequence, expected_, "decode, " + threads);
  });
}

TEST_P(Law4, OnePrefillEqualsAnySplitIntoChunks) {
  for_both([&](StepRunner& runner, const std::string& threads) {
    for (const std::uint32_t seed : {21U, 22U, 23U}) {
      if (seed == 21U && &runner == double_->runner.get()) continue;  // hundreds of short steps: as above
      std::mt19937 random(seed);
      Sequence sequence = make_sequence(runner, GetParam().prompt_tokens, 1);
      // Chunks of 1 to 16, to 128 or to the whole rest; a chunk of one row is prefill or decode by chance.
      const std::int32_t longest = seed == 21U ? 16 : seed == 22U ? 128 : sequence.left();
      while (sequence.left() > 0) {
        const auto rows =
            static_cast<std::int32_t>(1 + random() % static_cast<std::uint32_t>(std::min(longest, sequence.left())));
        run_step(runner, {{&sequence, rows, rows == 1 && random() % 2 == 0}});
      }
      expect_same_bits(sequence, expected_, cat("chunks, seed ", seed, ", ", threads));
    }
  });
}

TEST_P(Law4, NeitherCompanyInAStepNorThePlaceOfPagesMovesBits) {
  for_both([&](StepRunner& runner, const std::string& threads) {
    const std::uint32_t seed = 31;
    std::mt19937 random(seed);
    const Sequence other = in_one_prefill(runner, make_sequence(runner, GetParam().prompt_tokens / 2, 2));
    Sequence first = make_sequence(runner, GetParam().prompt_tokens, 1);
    Sequence second = make_sequence(runner, GetParam().prompt_tokens / 2, 2);
    std::vector<std::int32_t> pages(2 * first.pages.size());
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    std::copy_n(pages.begin(), first.pages.size(), first.pages.begin());
    std::copy_n(pages.begin() + static_cast<std::ptrdiff_t>(first.pages.size()), second.pages.size(),
                second.pages.begin());
    while (first.left() > 0 || second.left() > 0) {
      std::vector<Advance> moves;
      for (Sequence* sequence : {&second, &first}) {
        if (sequence->left() == 0 || random() % 4 == 0) continue;
        const auto rows = static_cast<std::int32_t>(
            random() % 3 == 0 ? 1 : 1 + random() % static_cast<std::uint32_t>(std::min(90, sequence->left())));
        moves.push_back({sequence, rows, rows == 1 && random() % 2 == 0});
      }
      if (!moves.empty()) run_step(runner, moves);
    }
    expect_same_bits(first, expected_, cat("beside another sequence, seed ", seed, ", ", threads));
    expect_same_bits(second, other, cat("the other sequence, seed ", seed, ", ", threads));
  });
}

TEST_P(Law4, LogitsDoNotDependOnWhichOthersAreWanted) {
  for_both([&](StepRunner& runner, const std::string& threads) {
    std::mt19937 random(41);
    Sequence sequence = make_sequence(runner, GetParam().prompt_tokens, 1);
    Sequence other = make_sequence(runner, GetParam().prompt_tokens, 2);
    for (std::int32_t& page : other.pages) page += static_cast<std::int32_t>(sequence.pages.size());
    // None, the last one, some or all of a chunk; every other time beside a sequence that wants one row.
    for (std::uint32_t step = 0; sequence.left() > 0; ++step) {
      const auto most = static_cast<std::uint32_t>(std::min(200, sequence.left()));
      const auto rows = static_cast<std::int32_t>(1 + random() % most);
      const std::int32_t some = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(rows + 1));
      const bool is_end = rows == sequence.left();
      const std::int32_t wanted[] = {0, 1, some, rows};
      std::vector<Advance> moves = {{&sequence, rows, false, is_end ? 1 : wanted[step % 4]}};
      if (step % 2 == 1 && other.left() > 0) moves.push_back({&other, 1, true});
      run_step(runner, moves);
    }
    expect_same_bits(sequence, expected_, "wanted rows, " + threads);
  });
}

INSTANTIATE_TEST_SUITE_P(All, Law4, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace corbel
