#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "corbel/format/artifact.h"
#include "corbel/format/packed_format.h"
#include "tests/compile/tiny_checkpoint.h"

namespace corbel {
namespace {

using testing::HasSubstr;

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
    EXPECT_FALSE(std::filesystem::exists(wanted.output));
    cancel = false;
    ASSERT_TRUE(compile_model(wanted, *bench.device, {}));
    EXPECT_TRUE(bytes("whole.corbel") == bytes("resumed.corbel")) << quant_method_name(method);
    EXPECT_THAT(files(), testing::UnorderedElementsAre("whole.corbel", "resumed.corbel"));
    std::filesystem::remove(wanted.output);
  }
}

TEST_F(Compile, ARunDoesNotGoOnFromOneThatReadAnotherText) {
  Bench bench(1);
  CompileRequest wanted = request("whole.corbel");
  wanted.calibration = tokens();
  ASSERT_TRUE(compile_model(wanted, *bench.device, {}));
  wanted.output = folder_ / "resumed.corbel";
  wanted.resume = true;
  std::atomic<bool> cancel = false;
  wanted.cancel = &cancel;
  for (std::vector<std::int32_t>& sequence : wanted.calibration) std::reverse(sequence.begin(), sequence.end());
  wanted.calibration[0].assign(60, 5);
  ASSERT_FALSE(compile_model(wanted, *bench.device, [&](const CompileProgress& progress) {
    cancel = progress.done_bytes > progress.total_bytes / 2;
  }));
  cancel = false;
  wanted.calibration = tokens();
  ASSERT_TRUE(compile_model(wanted, *bench.device, {}));
  EXPECT_TRUE(bytes("whole.corbel") == bytes("resumed.corbel"));
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

TEST_F(Compile, MixedBitsTakeFiveWhereTheyAreWorthMoreThanFourAndSix) {
  Bench bench(2);
  CompileRequest wanted = request("mixed.corbel");
  wanted.bits = 8.2;  // padded to 512 columns: 5.25 bits are 8.3
  const auto plan = plan_compile(wanted, *bench.device);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(std::any_of(plan->tensors.begin(), plan->tensors.end(),
                          [](const TensorPlan& tensor) { return tensor.format == &w5g16_format(); }));
}

TEST_F(Compile, RowsOfBf16GiveTheirBytesWhereTheyAreAsReadIntoFloats) {
  Bench bench(2);
  constexpr std::int64_t kRows = 37;
  constexpr std::int64_t kColumns = 300;
  std::vector<std::byte> stored(2 * kRows * kColumns + 1);
  for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
    const bfloat16 value = to_bfloat16(0.03F * static_cast<float>(i * i % 1009 - 504) / static_cast<float>(1 + i % 7));
    std::memcpy(stored.data() + 1 + 2 * i, &value, sizeof value);
  }
  SourceTensor tensor;
  tensor.name = "x";
  tensor.format = &bf16_format();
  tensor.shape = {kRows, kColumns};
  tensor.bytes = std::span(stored).subspan(1);  // at an odd address, as files have them
  const RowReader reader(tensor, *bench.device);
  const TensorView rows = reader.in_place(5, 32);
  ASSERT_FALSE(rows.empty());
  std::vector<float> values;
  ASSERT_TRUE(reader.read(5, 32, values, Nonfinite::refuse));
  for (const char* format : {"w4g16", "w4g8", "w5g16", "w6g8", "w8"}) {
    MatrixEncoder encoder =
        *MatrixEncoder::make(**find_weight_format(format), kColumns, QuantMethod::fast, {}, *bench.device);
    std::vector<std::byte> in_place;
    std::vector<std::byte> read;
    TensorErrors errors;
    encoder.encode(rows, in_place, errors);
    encoder.encode(make_view(values.data(), {32, kColumns}), read, errors);
    EXPECT_TRUE(in_place == read) << format;
  }
  // The last value of the last row: no vector of eight ends there.
  const bfloat16 infinite = to_bfloat16(-HUGE_VALF);
  std::memcpy(stored.data() + 1 + 2 * (37 * kColumns - 1), &infinite, sizeof infinite);
  EXPECT_TRUE(reader.in_place(5, 32).empty());
  EXPECT_FALSE(reader.in_place(5, 31).empty());
}

TEST_F(Compile, AFileThatCannotBeWrittenLeavesNothing) {
  Bench bench(1);
  CompileRequest wanted = request("missing/x.corbel");
  EXPECT_FALSE(compile_model(wanted, *bench.device, {}));
  EXPECT_THAT(files(), testing::IsEmpty());
}

}  // namespace
}  // namespace corbel
