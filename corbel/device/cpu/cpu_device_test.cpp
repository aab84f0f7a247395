#include "corbel/device/cpu/cpu_device.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "corbel/device/run_context.h"

// Every op of the processor equals its reference bit for bit, at every level this machine has and with several numbers
// of threads. The cases here are the quick ones of the contracts and a few odd shapes; tests/ has the full sweep.

namespace corbel {
namespace {

constexpr std::uint64_t kSeed = 7;

struct Cpu {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;
};

Cpu make_cpu(const std::string& level, int threads) {
  Cpu cpu;
  cpu.pool = *ThreadPool::make(threads);
  cpu.device = *make_cpu_device({.level = level}, *cpu.pool);
  return cpu;
}

/// First byte in which two results differ, or nothing.
std::string first_difference(const CaseMemory& expected, const CaseMemory& found) {
  for (std::size_t i = 0; i < expected.compared().size(); ++i) {
    const TensorView& e = expected.compared()[i];
    const TensorView& f = found.compared()[i];
    const std::int64_t bytes = (e.shape.rank() == 0 ? 0 : e.shape.elements()) * dtype_bytes(e.dtype);
    const auto* a = static_cast<const unsigned char*>(e.data);
    const auto* b = static_cast<const unsigned char*>(f.data);
    for (std::int64_t at = 0; at < bytes; ++at) {
      if (a[at] == b[at]) continue;
      if (e.dtype != DType::f32) return cat("output ", i, ", byte ", at);
      const std::int64_t element = at / 4;
      return cat("output ", i, ", element ", element, " of ", e.shape, ": expected ",
                 static_cast<const float*>(e.data)[element], ", found ", static_cast<const float*>(f.data)[element]);
    }
  }
  return {};
}

template <typename Op>
void expect_equal(const Device& device, const OpCase<Op>& item, const CaseMemory& expected) {
  CaseMemory memory(kSeed);
  const auto args = item.make_args(memory);
  auto prepared = device.prepare<Op>(item.spec);
  ASSERT_TRUE(prepared.has_value()) << item.name << ": " << prepared.error().message;
  RunContext context{.device = const_cast<Device*>(&device)};
  (*prepared)(args, context);
  EXPECT_EQ(first_difference(expected, memory), "")
      << Op::kName << ", " << item.name << ", " << device.info().profile() << ", threads " << device.info().threads;
}

template <typename Op>
void expect_reference_bits(const std::vector<OpCase<Op>>& cases) {
  std::vector<Cpu> cpus;
  for (const std::string& level : cpu_device_levels())
    for (const int threads : {1, 2, 3}) cpus.push_back(make_cpu(level, threads));
  for (const OpCase<Op>& item : cases) {
    CaseMemory expected(kSeed);
    Op::reference(item.spec, item.make_args(expected));
    for (const Cpu& cpu : cpus) expect_equal(*cpu.device, item, expected);
  }
}

template <typename Op>
class CpuOp : public testing::Test {};

template <typename... Ops>
testing::Types<Ops...> types_of(OpList<Ops...>);
using AllOpTypes = decltype(types_of(AllOps{}));
TYPED_TEST_SUITE(CpuOp, AllOpTypes);

TYPED_TEST(CpuOp, EqualsItsReferenceAtEveryLevelAndNumberOfThreads) {
  expect_reference_bits<TypeParam>(TypeParam::cases(CaseScale::quick));
}

/// A linear case with values of the given amplitude.
OpCase<Linear> linear_case(std::int64_t rows, std::int64_t in, Linear::Spec spec, float amplitude = 1.0F) {
  spec.in_features = in;
  OpCase<Linear> item;
  item.name = cat("rows ", rows, " in ", in, " out ", spec.outputs[0].features, " ", spec.outputs[0].format->name, " ",
                  spec.arithmetic);
  item.spec = spec;
  item.make_args = [=](CaseMemory& memory) {
    const auto dtype_of_format = [](const WeightFormat& format) {
      return &format == &f32_format() ? DType::f32 : (&format == &bf16_format() ? DType::bf16 : DType::f16);
    };
    Linear::Args args;
    args.x = memory.input(DType::f32, {rows, in}, amplitude);
    for (int w = 0; w < spec.weights; ++w) {
      const Linear::Output& output = spec.outputs[w];
      const TensorView weight = memory.input(dtype_of_format(*output.format), {output.features, in}, amplitude);
      args.weights[w] = static_cast<const std::byte*>(weight.data);
      if (output.has_bias) args.biases[w] = memory.input(DType::f32, {output.features});
      if (!spec.gated || w == 0) args.out[w] = memory.output(DType::f32, {rows, output.features});
    }
    if (spec.add_residual) args.residual = memory.input(DType::f32, {rows, spec.outputs[0].features});
    return args;
  };
  return item;
}

Linear::Spec one_weight(std::int64_t features, const WeightFormat& format, Arithmetic arithmetic) {
  Linear::Spec spec;
  spec.outputs[0] = {.features = features, .format = &format};
  spec.arithmetic = arithmetic;
  return spec;
}

TEST(CpuLinear, EqualsItsReferenceAtEverySmallNumberOfRows) {
  std::vector<OpCase<Linear>> cases;
  for (std::int64_t rows = 1; rows <= 14; ++rows) {
    cases.push_back(linear_case(rows, 77, one_weight(13, bf16_format(), Arithmetic::bf16)));
    cases.push_back(linear_case(rows, 48, one_weight(9, bf16_format(), Arithmetic::f32)));
    cases.push_back(linear_case(rows, 31, one_weight(11, f16_format(), Arithmetic::f32)));
    cases.push_back(linear_case(rows, 17, one_weight(8, f32_format(), Arithmetic::f32)));
  }
  expect_reference_bits(cases);
}

TEST(CpuLinear, TakesSubnormalsAsZeroInBf16ArithmeticOnly) {
  // Products around 2^-126: some inputs, products and sums are subnormal.
  expect_reference_bits<Linear>({linear_case(5, 96, one_weight(24, bf16_format(), Arithmetic::bf16), 0x1p-63F),
                                 linear_case(5, 96, one_weight(24, bf16_format(), Arithmetic::f32), 0x1p-63F),
                                 linear_case(3, 96, one_weight(24, bf16_format(), Arithmetic::bf16), 0x1p-125F)});
}

TEST(CpuLinear, TakesMoreRowsThanOneBlockAndManyOutputs) {
  Linear::Spec gated = one_weight(40, bf16_format(), Arithmetic::bf16);
  gated.weights = 2;
  gated.gated = true;
  gated.activation = Activation::silu;
  gated.outputs[0].has_bias = true;
  gated.outputs[1] = {.features = 40, .format = &f16_format()};
  gated.arithmetic = Arithmetic::f32;
  gated.add_residual = true;
  expect_reference_bits<Linear>(
      {linear_case(300, 40, gated), linear_case(259, 64, one_weight(300, bf16_format(), Arithmetic::bf16))});
}

void decode_halves(const std::byte* stored, std::int64_t count, float* values) noexcept {
  for (std::int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<signed char>(stored[i])) * 0.5F;
}

TEST(CpuLinear, TakesAFormatThatHasNoKernelOfItsOwn) {
  static constexpr WeightFormat kHalves{"halves", 1, 1, 1.0, decode_halves, nullptr};
  OpCase<Linear> item;
  item.name = "a format of the test";
  item.spec = one_weight(21, kHalves, Arithmetic::f32);
  item.spec.in_features = 36;
  item.make_args = [](CaseMemory& memory) {
    Linear::Args args;
    args.x = memory.input(DType::f32, {3, 36});
    args.weights[0] = static_cast<const std::byte*>(memory.input(DType::f32, {21, 9}).data);  // any bytes will do
    args.out[0] = memory.output(DType::f32, {3, 21});
    return args;
  };
  expect_reference_bits<Linear>({item});
}

TEST(CpuDevice, RefusesALevelItDoesNotHaveNamingThoseItHas) {
  const auto pool = *ThreadPool::make(1);
  const auto device = make_cpu_device({.level = "v9"}, *pool);
  ASSERT_FALSE(device.has_value());
  EXPECT_EQ(device.error().code, Code::unsupported);
  EXPECT_NE(device.error().message.find("\"v9\""), std::string::npos) << device.error().message;
  EXPECT_NE(device.error().message.find(cpu_device_levels().back()), std::string::npos) << device.error().message;
}

TEST(CpuDevice, TakesItsLevelFromTheEnvironmentWhenTheSettingsNameNone) {
  const auto pool = *ThreadPool::make(1);
  ASSERT_EQ(setenv("CORBEL_CPU_ISA", "v2", 1), 0);
  const auto forced = make_cpu_device({}, *pool);
  ASSERT_EQ(unsetenv("CORBEL_CPU_ISA"), 0);
  const auto best = make_cpu_device({}, *pool);
  EXPECT_EQ((*forced)->info().profile(), "cpu/v2");
  EXPECT_EQ((*best)->info().level, cpu_device_levels().front());
}

}  // namespace
}  // namespace corbel
