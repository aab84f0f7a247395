#include "corbel/device/conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace corbel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// What a broken kernel does after the right answer.
enum class Fault { none, flip_bit_of_last_value, write_behind_output, write_before_output, change_input, skip };

const TensorView& output_of(const Add::Args& args) { return args.out; }
const TensorView& output_of(const RmsNorm::Args& args) { return args.out; }
const TensorView& output_of(const Linear::Args& args) { return args.out[0]; }
const TensorView& output_of(const AttentionDecode::Args& args) { return args.out; }
void* input_of(const Add::Args& args) { return args.b.data == args.out.data ? args.a.data : args.b.data; }
void* input_of(const RmsNorm::Args& args) { return args.gamma.data; }
void* input_of(const Linear::Args& args) { return args.x.data; }
void* input_of(const AttentionDecode::Args& args) { return args.slots.data; }

/// The last value that a row-strided [rows, ...] output holds.
std::byte* last_value(const TensorView& out) {
  const std::int64_t rows = out.rows();
  return static_cast<std::byte*>(out.data) + ((rows - 1) * out.row_stride + out.columns() - 1) * 4;
}

template <typename Op, Fault kFault>
void run_faulty(const Prepared<Op>& self, const typename Op::Args& args, RunContext&) noexcept {
  if constexpr (kFault == Fault::skip) return;
  Op::reference(self.spec(), args);
  const TensorView& out = output_of(args);
  auto* first = static_cast<std::byte*>(out.data);
  if (kFault == Fault::flip_bit_of_last_value) *last_value(out) ^= std::byte{1};
  if (kFault == Fault::write_behind_output) last_value(out)[4 * (out.row_stride - out.columns() + 1)] = std::byte{7};
  if (kFault == Fault::write_before_output) first[-1] = std::byte{7};
  if (kFault == Fault::change_input) *static_cast<std::byte*>(input_of(args)) ^= std::byte{1};
}

/// Has one op, with one fault; the rest are references, or absent.
template <typename Op, Fault kFault>
class FaultyDevice final : public Device {
 public:
  FaultyDevice() : Device({.name = "faulty", .level = "l1"}, MissingOps::reference) {
    table_.template entry<Op>().prepare = [](const typename Op::Spec& spec, const Device&) -> Result<Prepared<Op>> {
      return Prepared<Op>(spec, run_faulty<Op, kFault>);
    };
  }
};

struct Outcome {
  ConformanceSummary summary;
  std::vector<ConformanceRow> failed;
};

Outcome run_on(Device& device) {
  Outcome outcome;
  Device* const devices[] = {&device};
  outcome.summary = run_conformance(devices, {.report = [&outcome](const ConformanceRow& row) {
                                      if (!row.ok) outcome.failed.push_back(row);
                                    }});
  return outcome;
}

template <typename Op>
class Conformance : public testing::Test {};
using FaultyOps = testing::Types<Add, RmsNorm, Linear, AttentionDecode>;
TYPED_TEST_SUITE(Conformance, FaultyOps);

TYPED_TEST(Conformance, ARightKernelPassesAndAbsentOpsAreCountedAsReference) {
  FaultyDevice<TypeParam, Fault::none> device;
  const Outcome outcome = run_on(device);
  EXPECT_GT(outcome.summary.cases, 0);
  EXPECT_GT(outcome.summary.by_reference, 0);
  EXPECT_TRUE(outcome.failed.empty()) << to_string(outcome.failed.front());
}

TYPED_TEST(Conformance, OneFlippedBitFailsEveryCaseAndNamesTheElement) {
  FaultyDevice<TypeParam, Fault::flip_bit_of_last_value> device;
  const Outcome outcome = run_on(device);
  ASSERT_EQ(outcome.summary.failed, outcome.summary.cases);
  const ConformanceRow& row = outcome.failed.front();
  EXPECT_EQ(row.op, TypeParam::kName);
  EXPECT_EQ(row.device, "faulty/l1");
  EXPECT_EQ(row.wrong_elements, 1);
  EXPECT_EQ(row.worst.ulps, 1U);
  EXPECT_NE(row.worst.expected, row.worst.found);
  EXPECT_EQ(row.problem, "");
  EXPECT_THAT(to_string(row), AllOf(HasSubstr(std::string(TypeParam::kName)), HasSubstr(row.case_name),
                                    HasSubstr("1 elements differ"), HasSubstr("(1 ulps)")));
}

TYPED_TEST(Conformance, AByteWrittenBehindTheOutputIsFound) {
  FaultyDevice<TypeParam, Fault::write_behind_output> device;
  const Outcome outcome = run_on(device);
  ASSERT_EQ(outcome.summary.failed, outcome.summary.cases);
  EXPECT_EQ(outcome.failed.front().problem, "it wrote outside of its outputs");
  EXPECT_EQ(outcome.failed.front().wrong_elements, 0);
}

TYPED_TEST(Conformance, AByteWrittenBeforeTheOutputIsFound) {
  FaultyDevice<TypeParam, Fault::write_before_output> device;
  const Outcome outcome = run_on(device);
  ASSERT_EQ(outcome.summary.failed, outcome.summary.cases);
  EXPECT_EQ(outcome.failed.front().problem, "it wrote outside of its outputs");
}

TYPED_TEST(Conformance, AChangedInputIsFound) {
  FaultyDevice<TypeParam, Fault::change_input> device;
  const Outcome outcome = run_on(device);
  ASSERT_EQ(outcome.summary.failed, outcome.summary.cases);
  EXPECT_EQ(outcome.failed.front().problem, "it changed an input");
}

TYPED_TEST(Conformance, AKernelThatWritesNothingIsFound) {
  FaultyDevice<TypeParam, Fault::skip> device;
  const Outcome outcome = run_on(device);
  EXPECT_EQ(outcome.summary.failed, outcome.summary.cases);
  EXPECT_GT(outcome.failed.front().wrong_elements, 0);
}

TEST(ConformanceOfTheReferenceDevice, EveryOpHasCasesAndPassesThem) {
  const std::unique_ptr<Device> device = make_reference_device();
  const Outcome outcome = run_on(*device);
  EXPECT_EQ(outcome.summary.failed, 0);
  EXPECT_EQ(outcome.summary.by_reference, 0);
  for_each_op([]<typename Op>() {
    EXPECT_FALSE(Op::cases(CaseScale::quick).empty()) << Op::kName;
    EXPECT_GE(Op::cases(CaseScale::full).size(), Op::cases(CaseScale::quick).size()) << Op::kName;
  });
}

TEST(ConformanceOfTheNullDevice, FailsEveryOpSinceItComputesNothing) {
  const std::unique_ptr<Device> device = make_null_device();
  const Outcome outcome = run_on(*device);
  EXPECT_EQ(outcome.summary.failed, outcome.summary.cases);
}

class RefusingDevice final : public Device {
 public:
  RefusingDevice() : Device({.name = "refusing"}, MissingOps::strict) {
    table_.entry<Add>().prepare = [](const Add::Spec&, const Device&) -> Result<Prepared<Add>> {
      return fail(Code::unsupported, "not today");
    };
  }
};

TEST(ConformanceOfARefusingDevice, AnOpThatRefusesACaseFailsIt) {
  RefusingDevice device;
  const Outcome outcome = run_on(device);
  ASSERT_FALSE(outcome.failed.empty());
  EXPECT_EQ(outcome.failed.front().problem, "prepare refused: not today");
}

}  // namespace
}  // namespace corbel
