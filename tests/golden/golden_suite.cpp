// Every golden of one family, on every device and level, against what Hugging Face answered. Linked once per family
// with a generated file that names it (cmake/golden_family.cpp.in).
#include "tests/golden/golden_suite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/verify/faults.h"
#include "corbel/verify/golden_report.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

struct GoldenCase {
  fs::path folder;
  std::string device;
  std::string level;
  Strategy strategy = Strategy::accuracy;
};

/// A name that GoogleTest accepts: letters, digits, underscores.
std::string test_name(const testing::TestParamInfo<GoldenCase>& info) {
  const fs::path family = info.param.folder.parent_path().filename() == "real" ? "real" : "tiny";
  std::string name = cat(family.string(), "_", info.param.folder.filename().string(), "_", info.param.device, "_",
                         info.param.level, "_", strategy_name(info.param.strategy));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

std::vector<fs::path> golden_folders() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::recursive_directory_iterator(golden_root())) {
    if (entry.path().filename() == "golden.safetensors") folders.push_back(entry.path().parent_path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

bool is_real_shape(const fs::path& folder) { return folder.parent_path().filename() == "real"; }

std::vector<GoldenCase> all_cases() {
  std::vector<GoldenCase> cases;
  for (const fs::path& folder : golden_folders()) {
    if (!is_real_shape(folder)) cases.push_back({folder, "reference", "", Strategy::accuracy});
    for (const DeviceEntry& device : linked_devices()) {
      // Real shapes take seconds each: the fastest level shows them; all levels give the same bits (conformance test).
      for (const std::string& level : device.levels()) {
        if (is_real_shape(folder) && level != device.levels().front()) continue;
        for (const Strategy strategy : {Strategy::accuracy, Strategy::balanced})
          cases.push_back({folder, device.name, level, strategy});
      }
    }
  }
  return cases;
}

Result<std::unique_ptr<Device>> make_device(const GoldenCase& golden, ThreadPool& pool) {
  if (golden.device == "reference") return make_reference_device();
  for (const DeviceEntry& entry : linked_devices()) {
    if (entry.name == golden.device) return entry.make({.level = golden.level}, pool);
  }
  return fail(Code::unsupported, "no such device");
}

std::string describe(const ModuleReport& module) {
  return cat(module.module, ": worst row ", module.comparison.worst_row_error, " (row ", module.comparison.worst_row,
             "), PCC ", module.comparison.pcc,
             module.comparison.first_bad ? cat(", first bad element ", to_string(*module.comparison.first_bad)) : "");
}

class GoldenOfModel : public testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenOfModel, EveryModuleAndTheGreedyIdsMatchTransformers) {
  const GoldenCase& param = GetParam();
  const std::vector<ModelFamily> families = {family_under_test()};
  const auto golden = Golden::open(param.folder);
  ASSERT_TRUE(golden) << golden.error().message;
  auto pool = ThreadPool::make(2);
  ASSERT_TRUE(pool);
  auto device = make_device(param, **pool);
  ASSERT_TRUE(device) << device.error().message;
  VerifyRequest request{.folder = param.folder, .families = families, .options = {.strategy = param.strategy}};
  if (const char* name = std::getenv("CORBEL_TEST_INJECT"); name != nullptr) {
    const auto fault = find_fault(name);
    ASSERT_TRUE(fault) << fault.error().message;
    request.fault = *fault;
  }
  const auto report = verify_folder(request, *golden, **device);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_GE(report->modules.size(), 4U) << "the taps and the golden share too few names";
  for (const ModuleReport& module : report->modules) EXPECT_TRUE(module.ok) << describe(module);
  RecordProperty("worst_row_error", cat(report->worst_error()));
  if (report->greedy_checked) {
    EXPECT_EQ(report->greedy, golden->greedy());
    EXPECT_EQ(report->frozen_equal, static_cast<int>(golden->greedy_frozen().size()));
  }
  EXPECT_EQ(report->first_wrong, "");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenOfModel, testing::ValuesIn(all_cases()), test_name);

}  // namespace
}  // namespace corbel
