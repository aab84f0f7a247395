// Every fault of corbel/verify/faults.cpp, on the built-in model and on tiny models that can show it: the gate must say
// no, and name the module where the mistake sits.
#include "corbel/verify/faults.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/model/model_list.h"
#include "corbel/verify/golden_report.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuiltIn = "share/pico";
// Together they show every fault: groups of heads, windows, biases, head norms, untied heads, rotary scalings.
constexpr const char* kFolders[] = {kBuiltIn,
                                    "models/llama/goldens/gqa_tied_sharded_bf16",
                                    "models/llama/goldens/mistral_window_bf16",
                                    "models/llama/goldens/attention_bias_f32",
                                    "models/llama/goldens/act_gelu_f32",
                                    "models/llama/goldens/rope_llama3_old_bf16",
                                    "models/llama/goldens/rope_longrope_long_f32",
                                    "models/qwen/goldens/qwen2_untied_sharded_f32",
                                    "models/qwen/goldens/qwen3_layer_types_f32",
                                    "models/qwen/goldens/qwen3_yarn_bf16"};

fs::path in_tree(const std::string& folder) { return fs::path(CORBEL_SOURCE_DIR) / folder; }
bool is_there(const std::string& folder) {
  return fs::exists(in_tree(folder) / "golden.safetensors") && fs::exists(in_tree(folder) / "config.json");
}

std::string test_name(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return text;
}

Result<std::vector<VisibleFault>> faults_of(const std::string& folder) {
  CORBEL_ASSIGN(const Golden golden, Golden::open(in_tree(folder)));
  return visible_faults(in_tree(folder), golden);
}

/// Verifies on the first linked device.
Result<GoldenReport> verify(const std::string& folder, const Fault* fault, Strategy strategy = Strategy::accuracy) {
  CORBEL_ASSIGN(const Golden golden, Golden::open(in_tree(folder)));
  CORBEL_ASSIGN(const auto pool, ThreadPool::make(2));
  CORBEL_ASSIGN(const auto device, linked_devices().front().make({}, *pool));
  const auto families = linked_model_families();
  return verify_folder({in_tree(folder), families, {.strategy = strategy}, fault}, golden, *device);
}

struct FaultCase {
  std::string folder;
  VisibleFault visible;
};

std::vector<FaultCase> all_cases() {
  std::vector<FaultCase> cases;
  for (const char* folder : kFolders) {
    const auto visible = faults_of(folder);
    if (!visible) continue;  // EveryFolderIsThere says so
    for (const VisibleFault& fault : *visible) cases.push_back({folder, fault});
  }
  return cases;
}

class FaultOnPurpose : public testing::TestWithParam<FaultCase> {};

TEST_P(FaultOnPurpose, IsFoundInTheModuleWhereItSits) {
  const auto report = verify(GetParam().folder, GetParam().visible.fault);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->passed());
  EXPECT_EQ(report->first_wrong, GetParam().visible.first_wrong) << GetParam().visible.fault->what;
}

INSTANTIATE_TEST_SUITE_P(All, FaultOnPurpose, testing::ValuesIn(all_cases()), [](const auto& one) {
  return test_name(cat(one.param.visible.fault->name, "_in_", fs::path(one.param.folder).filename().string()));
});

class NoFault : public testing::TestWithParam<const char*> {};

TEST_P(NoFault, PassesWithEitherStrategy) {
  if (!is_there(GetParam())) GTEST_SKIP() << GetParam() << " has no weights or no golden yet";
  for (const Strategy strategy : {Strategy::accuracy, Strategy::balanced}) {
    const auto report = verify(GetParam(), nullptr, strategy);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->first_wrong, "") << strategy_name(strategy) << ", worst " << report->worst_error();
    EXPECT_GE(report->modules.size(), 8U);
  }
}

INSTANTIATE_TEST_SUITE_P(All, NoFault, testing::ValuesIn(kFolders),
                         [](const auto& one) { return test_name(one.param); });

TEST(Faults, AtLeastTenCanBeSeenWithTheBuiltInModel) {
  if (!is_there(kBuiltIn)) GTEST_SKIP() << kBuiltIn << " has no weights or no golden yet";
  const auto visible = faults_of(kBuiltIn);
  ASSERT_TRUE(visible) << visible.error().message;
  EXPECT_GE(visible->size(), 10U);
}

TEST(Faults, EveryOneCanBeSeenWithOneOfTheFolders) {
  std::set<std::string_view> unseen;
  for (const Fault& fault : all_faults()) EXPECT_TRUE(unseen.insert(fault.name).second) << fault.name << " twice";
  for (const char* folder : kFolders) {
    if (!is_there(folder)) continue;
    const auto visible = faults_of(folder);
    ASSERT_TRUE(visible) << visible.error().message;
    for (const VisibleFault& fault : *visible) unseen.erase(fault.fault->name);
  }
  EXPECT_TRUE(unseen.empty()) << "for example " << *unseen.begin();
}

TEST(Faults, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  const auto fault = find_fault("rope_bass");
  ASSERT_FALSE(fault);
  EXPECT_NE(fault.error().message.find("rope_base, "), std::string::npos) << fault.error().message;
}

TEST(Faults, AFaultThatTheModelCannotShowIsRefused) {
  const auto fault = find_fault("qk_norm_dropped");
  ASSERT_TRUE(fault);
  const auto report = verify("models/llama/goldens/act_gelu_f32", *fault);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("cannot be seen"), std::string::npos) << report.error().message;
}

TEST(Faults, AGoldenOfAnotherModelIsRefusedNotCalledWrong) {
  const auto golden = Golden::open(in_tree("models/llama/goldens/mqa_head_dim_f16"));
  ASSERT_TRUE(golden) << golden.error().message;
  const auto pool = ThreadPool::make(1);
  ASSERT_TRUE(pool);
  const auto device = linked_devices().front().make({}, **pool);
  ASSERT_TRUE(device);
  const auto families = linked_model_families();
  const auto report = verify_folder(
      {in_tree("models/llama/goldens/act_gelu_f32"), families, {.strategy = Strategy::accuracy}}, *golden, **device);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("was it recorded from this model"), std::string::npos)
      << report.error().message;
}

}  // namespace
}  // namespace corbel
