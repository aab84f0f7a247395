#include "corbel/compile/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/format/artifact.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/model_list.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::string_view kConfig = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 320,
  "intermediate_size": 352, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 80,
  "vocab_size": 1003, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
  "tie_word_embeddings": true, "hidden_act": "silu"})";

struct Bench {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;

  explicit Bench(int threads) {
    pool = *ThreadPool::make(threads);
    device = *linked_devices().front().make({}, *pool);
  }
};

class Compile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              cat("corbel-compile-", testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  CompileRequest request(const std::string& file, const std::string& quant = "w4",
                         QuantMethod method = QuantMethod::search) const {
    CompileRequest made;
    made.source.tensors = std::make_shared<SeededSource>(3, DType::bf16, std::vector<std::string>());
    made.source.config = std::make_shared<const Json>(*parse_json(kConfig, "config.json"));
    made.source.config_place = "config.json";
    made.source.files = {{"config.json", std::string(kConfig)}};
    made.source.name = "a test";
    made.source.hash = "00112233445566778899aabbccddeeff";
    made.families = linked_model_families();
    made.plan.quant = *find_quant(quant, 0);
    made.plan.method = method;
    made.written_by = "corbel test";
    made.output = folder_ / file;
    return made;
  }

  /// Sequences of some tokens, as a calibration text would give.
  static CalibrationTokens tokens() {
    CalibrationTokens made(3);
    for (std::size_t s = 0; s < made.size(); ++s)
      for (int i = 0; i < 60; ++i) made[s].push_back(static_cast<std::int32_t>((s * 331 + i * i * 7 + 11) % 1003));
    return made;
  }

  std::string bytes(const std::string& file) const {
    std::ifstream in(folder_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename().string());
    return names;
  }

  fs::path folder_;
};

TEST_F(Compile, GivesTheSameBytesTwiceAndWithOneAndTwoThreads) {
  Bench one(1);
  Bench two(2);
  for (const QuantMethod method : {QuantMethod::fast, QuantMethod::search, QuantMethod::gptq}) {
    CompileRequest wanted = request("one.corbel", "w4", method);
    wanted.calibration = tokens();
    ASSERT_TRUE(compile_model(wanted, *one.device, {}));
    wanted.output = folder_ / "two.corbel";
    const auto done = compile_model(wanted, *two.device, {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(bytes("one.corbel") == bytes("two.corbel")) << quant_method_name(method);
    EXPECT_EQ(done->file_bytes, static_cast<std::int64_t>(bytes("one.corbel").size()));
  }
}

TEST_F(Compile, AnInterruptedAndResumedRunGivesTheSameBytes) {
  Bench bench(2);
  for (const QuantMethod method : {QuantMethod::search, QuantMethod::gptq}) {
    CompileRequest wanted = request("whole.corbel", "w4", method);
    wanted.calibration = tokens();
    ASSERT_TRUE(compile_model(wanted, *bench.device, {}));
    wanted.output = folder_ / "resumed.corbel";
    wanted.resume = true;
    std::atomic<bool> cancel = false;
    wanted.cancel = &cancel;
    int left = 4;
    const auto stopped = compile_model(wanted, *bench.device, [&](const CompileProgress& progress) {
      if (progress.done_bytes > 0 && --left == 0) cancel = true;
    });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::cancelled);
    EXPECT_FALSE(fs::exists(wanted.output));
    cancel = false;
    ASSERT_TRUE(compile_model(wanted, *bench.device, {}));
    EXPECT_TRUE(bytes("whole.corbel") == bytes("resumed.corbel")) << quant_method_name(method);
    EXPECT_THAT(files(), testing::UnorderedElementsAre("whole.corbel", "resumed.corbel"));
    fs::remove(wanted.output);
  }
}

TEST_F(Compile, ACancelledRunLeavesNothingUnlessItMayBeResumed) {
  Bench bench(1);
  CompileRequest wanted = request("gone.corbel");
  std::atomic<bool> cancel = false;
  wanted.cancel = &cancel;
  const auto stopped = compile_model(wanted, *bench.device, [&](const CompileProgress&) { cancel = true; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::cancelled);
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(Compile, EveryFormatReadsBackWithinItsBoundAndTheCertificateTellsTheErrors) {
  Bench bench(2);
  for (const std::string& quant : quant_names()) {
    const CompileRequest wanted = request("x.corbel", quant, QuantMethod::fast);
    const auto done = compile_model(wanted, *bench.device, {});
    ASSERT_TRUE(done) << quant << ": " << done.error().message;
    const auto artifact = Artifact::open(wanted.output);
    ASSERT_TRUE(artifact) << artifact.error().message;
    EXPECT_TRUE((*artifact)->check());
    const ArtifactProfile* const profile = *(*artifact)->profile("");
    const auto stored = (*artifact)->tensors(*profile);
    for (const TensorPlan& tensor : done->plan.tensors) {
      const auto original = wanted.source.tensors->find(tensor.use.name);
      const auto found = stored->find(tensor.use.name);
      ASSERT_TRUE(original && found) << tensor.use.name;
      EXPECT_EQ(found->format, tensor.format);
      if (tensor.is_vector()) continue;
      std::vector<float> want(static_cast<std::size_t>(tensor.columns()));
      std::vector<float> got(want.size());
      double worst = 0.0;
      for (std::int64_t row = 0; row < tensor.rows(); row += 7) {
        original->format->decode_row(original->bytes.data(), tensor.columns(), row, want.data());
        found->format->decode_row(found->bytes.data(), tensor.columns(), row, got.data());
        float largest = 0.0F;
        for (const float value : want) largest = std::max(largest, std::fabs(value));
        for (std::size_t i = 0; i < want.size(); ++i)
          worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]) / largest);
      }
      EXPECT_LE(worst, tensor.format->relative_error + 1e-6) << quant << ' ' << tensor.use.name;
    }
    const auto certificate = parse_json((*artifact)->certificate(*profile), "certificate");
    ASSERT_TRUE(certificate) << certificate.error().message;
    EXPECT_EQ((*certificate)["tensors"].size(), done->plan.tensors.size());
    const double sqnr = (*certificate)["tensors"][0].value("sqnr_db", 1000.0);
    if (quant == "w4g16") {
      EXPECT_NEAR(sqnr, 22.3, 1.0);
    }
    if (quant == "w8") {
      EXPECT_GT(sqnr, 40.0);
    }
    if (quant == "bf16") {
      EXPECT_EQ(sqnr, 1000.0);
    }
  }
}

TEST_F(Compile, MixedBitsUseTheirBudgetAndAreRefusedBelowTheSmallestFormats) {
  Bench bench(2);
  CompileRequest wanted = request("mixed.corbel");
  wanted.calibration = tokens();
  wanted.bits = 7.5;  // rows of 320 and 352 are padded to 512: 6.72 at least
  const auto done = compile_model(wanted, *bench.device, {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LE(done->plan.bits_per_weight(), 7.5);
  EXPECT_GT(done->plan.bits_per_weight(), 7.0);
  wanted.bits = 3.0;
  const auto refused = plan_compile(wanted, *bench.device);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("--bits 3"));
}

/// A checkpoint with one value changed.
class SpoiledSource final : public TensorSource {
 public:
  SpoiledSource(std::shared_ptr<const TensorSource> base, std::string tensor, float value)
      : base_(std::move(base)), tensor_(std::move(tensor)), value_(to_bfloat16(value)) {}
  std::optional<SourceTensor> find(std::string_view name) const override { return spoil(base_->find(name)); }
  std::optional<SourceTensor> find_shaped(std::string_view name, const Shape& wanted) const override {
    return spoil(base_->find_shaped(name, wanted));
  }
  bool has(std::string_view name) const override { return base_->has(name); }
  std::vector<std::string> names() const override { return base_->names(); }
  std::string description() const override { return base_->description(); }

 private:
  std::optional<SourceTensor> spoil(std::optional<SourceTensor> found) const {
    if (!found || found->name != tensor_) return found;
    bytes_.assign(found->bytes.begin(), found->bytes.end());
    const std::int64_t at = 17 * found->shape[1] + 5;
    std::memcpy(bytes_.data() + at * 2, &value_, 2);
    found->bytes = bytes_;
    return found;
  }
  std::shared_ptr<const TensorSource> base_;
  std::string tensor_;
  bfloat16 value_;
  mutable std::vector<std::byte> bytes_;
};

TEST_F(Compile, NanAndInfiniteWeightsAreNamedAndRefusedUnlessAllowed) {
  Bench bench(2);
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CompileRequest wanted = request("x.corbel");
    wanted.source.tensors = std::make_shared<SpoiledSource>(wanted.source.tensors, name, value);
    const auto refused = compile_model(wanted, *bench.device, {});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr(name));
    EXPECT_THAT(refused.error().message, HasSubstr("[17, 5]"));
    EXPECT_THAT(files(), testing::IsEmpty());
    wanted.allow_nonfinite = true;
    const auto done = compile_model(wanted, *bench.device, {});
    EXPECT_TRUE(done) << done.error().message;
    fs::remove(wanted.output);
  }
}

TEST_F(Compile, AFileThatCannotBeWrittenLeavesNothing) {
  Bench bench(1);
  CompileRequest wanted = request("missing/x.corbel");
  EXPECT_FALSE(compile_model(wanted, *bench.device, {}));
  EXPECT_THAT(files(), testing::IsEmpty());
}

}  // namespace
}  // namespace corbel
