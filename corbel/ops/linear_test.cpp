#include "corbel/ops/linear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "corbel/format/fp8.h"
#include "corbel/ops/arithmetic.h"

namespace corbel {
namespace {

using testing::HasSubstr;

constexpr double kUnit = 0x1p-24;     // unit roundoff of f32
constexpr double kBf16Unit = 0x1p-8;  // of bf16

Linear::Spec make_spec(std::int64_t in, std::int64_t features, const WeightFormat& format, Arithmetic arithmetic) {
  Linear::Spec spec{.in_features = in, .arithmetic = arithmetic};
  spec.outputs[0] = {features, &format, false};
  return spec;
}

/// y = x . W^T of one small f32 or bf16 layer, with nothing behind it.
std::vector<float> multiply(const std::vector<float>& x, const std::vector<float>& weights, Arithmetic arithmetic) {
  const auto in = static_cast<std::int64_t>(x.size());
  const auto features = static_cast<std::int64_t>(weights.size()) / in;
  const WeightFormat& format = arithmetic == Arithmetic::bf16 ? bf16_format() : f32_format();
  std::vector<std::byte> stored(format.bytes(in * features));
  format.encode(weights.data(), in * features, stored.data());
  std::vector<float> out(features);
  Linear::Args args;
  args.x = make_view(x.data(), {1, in});
  args.weights[0] = stored.data();
  args.out[0] = make_view(out.data(), {1, features});
  Linear::reference(make_spec(in, features, format, arithmetic), args);
  return out;
}

TEST(Linear, MultipliesByTheRowsOfTheWeight) {
  for (const Arithmetic arithmetic : {Arithmetic::f32, Arithmetic::bf16})
    EXPECT_EQ(multiply({1, 2, 3}, {4, 5, 6, -1, 0.5, 2}, arithmetic), (std::vector<float>{32, 6}));
}

TEST(Linear, RoundsTheInputToBf16OnlyInBf16Arithmetic) {
  const float x = 1.0F + 0x1p-9F;  // between 1 and the next bf16
  EXPECT_EQ(multiply({x}, {1}, Arithmetic::f32).front(), x);
  EXPECT_EQ(multiply({x}, {1}, Arithmetic::bf16).front(), 1.0F);
}

TEST(Linear, SumsEachLaneInAscendingOrderBeforeItAddsLanes) {
  std::vector<float> x(48, 0.0F);
  const std::vector<float> ones(48, 1.0F);
  x[0] = 0x1p25F;
  x[16] = 1.0F;
  x[32] = -0x1p25F;
  EXPECT_EQ(multiply(x, ones, Arithmetic::f32).front(), 0.0F);  // 2^25 + 1 rounds to 2^25 in lane 0
  x[16] = 0.0F;
  x[17] = 1.0F;
  EXPECT_EQ(multiply(x, ones, Arithmetic::f32).front(), 1.0F);
}

TEST(Linear, TakesTheOddElementOfAPairFirstInBf16) {
  std::vector<float> x(64, 0.0F);
  const std::vector<float> ones(64, 1.0F);
  x[0] = 0x1p25F;    // even, first pair of lane 0
  x[33] = 1.0F;      // odd, second pair
  x[32] = -0x1p25F;  // even, second pair
  EXPECT_EQ(multiply(x, ones, Arithmetic::bf16).front(), 0.0F);
  std::swap(x[32], x[33]);
  EXPECT_EQ(multiply(x, ones, Arithmetic::bf16).front(), 1.0F);
}

TEST(Linear, FusesProductAndSum) {
  // (1 + 2^-12)^2 - (1 + 2^-11) = 2^-24, lost when the product is rounded on its own.
  std::vector<float> x(17, 0.0F);
  std::vector<float> weights(17, 0.0F);
  x[0] = -1.0F;
  weights[0] = 1.0F + 0x1p-11F;
  x[16] = weights[16] = 1.0F + 0x1p-12F;
  EXPECT_EQ(multiply(x, weights, Arithmetic::f32).front(), 0x1p-24F);
}

TEST(Linear, TakesSubnormalsAsZeroInBf16AndKeepsThemInF32) {
  EXPECT_EQ(multiply({0x1p-127F}, {1}, Arithmetic::bf16).front(), 0.0F);
  EXPECT_EQ(multiply({0x1p-127F}, {1}, Arithmetic::f32).front(), 0x1p-127F);
  EXPECT_EQ(multiply({0x1p-64F}, {0x1p-64F}, Arithmetic::bf16).front(), 0.0F);
}

TEST(Linear, JudgesSubnormalsInBf16AfterRoundingToTwentyFourBits) {
  // 2^-126 - part * 2^-126, the odd element first; see FmaFlushed in arithmetic_test.cpp.
  const std::vector<float> weights = {0x1p-63F, 0x1p-63F};
  EXPECT_EQ(multiply({-0x1p-25F * 0x1p-63F, 0x1p-63F}, weights, Arithmetic::bf16).front(), 0x1p-126F);
  EXPECT_EQ(multiply({-0x1.4p-25F * 0x1p-63F, 0x1p-63F}, weights, Arithmetic::bf16).front(), 0.0F);
}

/// Everything a layer does, in double from the same stored weights, with the bound of its arithmetic.
struct Bounded {
  double value;
  double bound;
};

Bounded exact_dot(const Linear::Spec& spec, const float* x, const float* weight, bool round_x) {
  double sum = 0.0;
  double magnitude = 0.0;
  for (std::int64_t i = 0; i < spec.in_features; ++i) {
    const double value = round_x ? to_float(to_bfloat16(x[i])) : x[i];
    sum += value * weight[i];
    magnitude += std::fabs(value * weight[i]);
  }
  // A lane rounds once per term it takes, the tree four times more: (1 + u)^steps - 1 < steps * u * 1.01.
  const bool bf16 = spec.arithmetic == Arithmetic::bf16;
  double steps = static_cast<double>(bf16 ? (spec.in_features + 31) / 32 * 2 : (spec.in_features + 15) / 16) + 4;
  // With scales: a group's sum, the scale of a decoded value, and one term for each group.
  const PackedCodec* const codec = spec.outputs[0].format->packed;
  if (codec != nullptr && codec->has_scales()) steps += 128.0 + 1.0 + static_cast<double>(spec.in_features) / 128.0;
  double bound = 1.01 * steps * kUnit * magnitude;
  if (bf16 && !round_x) bound += kBf16Unit * magnitude * 1.01;
  return {sum, bound};
}

TEST(Linear, StaysWithinTheBoundOfItsArithmeticFromDouble) {
  for (const WeightFormat* format : {&f32_format(), &bf16_format(), &f16_format()}) {
    for (const Arithmetic arithmetic : {Arithmetic::f32, Arithmetic::bf16}) {
      if (arithmetic == Arithmetic::bf16 && format != &bf16_format()) continue;
      for (const std::int64_t in : {1, 15, 17, 33, 100, 1023, 4096}) {
        const Linear::Spec spec = make_spec(in, 5, *format, arithmetic);
        CaseMemory memory(static_cast<std::uint64_t>(in));
        Linear::Args args;
        args.x = memory.input(DType::f32, {3, in});
        args.weights[0] = memory.weight(*format, 5 * in, 1.0F, 1);
        args.out[0] = memory.output(DType::f32, {3, 5});
        Linear::reference(spec, args);
        std::vector<float> weight(in);
        for (std::int64_t f = 0; f < 5; ++f) {
          format->decode(args.weights[0] + f * format->bytes(in), in, weight.data());
          for (std::int64_t r = 0; r < 3; ++r) {
            const float found = Rows<const float>(args.out[0])[r][f];
            for (const bool round_x : {false, arithmetic == Arithmetic::bf16}) {
              const Bounded exact = exact_dot(spec, Rows<const float>(args.x)[r], weight.data(), round_x);
              EXPECT_LE(std::fabs(found - exact.value), exact.bound) << format->name << " in=" << in << " f=" << f;
            }
          }
        }
      }
    }
  }
}

TEST(Linear, StaysWithinTheBoundOfItsArithmeticWithStripsOfFloats) {
  struct Kind {
    const WeightFormat& format;
    Arithmetic arithmetic;
  };
  for (const Kind& kind : {Kind{p_bf16_format(), Arithmetic::bf16}, Kind{p_bf16_format(), Arithmetic::f32},
                           Kind{p_f16_format(), Arithmetic::f32}, Kind{fp8g128_format(), Arithmetic::bf16},
                           Kind{fp8g128_format(), Arithmetic::f32}}) {
    for (const std::int64_t in : {1, 127, 129, 300, 1023}) {
      const Linear::Spec spec = make_spec(in, 18, kind.format, kind.arithmetic);
      ASSERT_TRUE(Linear::check(spec));
      CaseMemory memory(static_cast<std::uint64_t>(in));
      Linear::Args args;
      args.x = memory.input(DType::f32, {2, in});
      args.weights[0] = memory.matrix(kind.format, {18, in}, 1.0F);
      args.out[0] = memory.output(DType::f32, {2, 18});
      Linear::reference(spec, args);
      std::vector<float> weight(in);
      for (std::int64_t f = 0; f < 18; ++f) {
        kind.format.decode_row(args.weights[0], in, f, weight.data());
        for (std::int64_t r = 0; r < 2; ++r) {
          const Bounded exact =
              exact_dot(spec, Rows<const float>(args.x)[r], weight.data(), kind.arithmetic == Arithmetic::bf16);
          EXPECT_LE(std::fabs(Rows<const float>(args.out[0])[r][f] - exact.value), exact.bound)
              << kind.format.name << " in=" << in << " f=" << f;
        }
      }
    }
  }
}

TEST(Linear, GivesStripsOfBf16TheBitsOfRows) {
  constexpr std::int64_t kIn = 333;
  CaseMemory memory(4);
  Linear::Args args;
  args.x = memory.input(DType::f32, {3, kIn});
  const std::byte* const rows = memory.weight(bf16_format(), 20 * kIn, 1.0F);
  std::vector<float> values(static_cast<std::size_t>(20 * kIn));
  bf16_format().decode(rows, 20 * kIn, values.data());
  std::byte* const strips = memory.matrix(p_bf16_format(), {20, kIn}, 1.0F);
  p_bf16_format().encode_matrix(values.data(), 20, kIn, strips);
  for (const Arithmetic arithmetic : {Arithmetic::bf16, Arithmetic::f32}) {
    TensorView out[2];
    for (const bool packed : {false, true}) {
      args.weights[0] = packed ? strips : rows;
      args.out[0] = out[packed ? 1 : 0] = memory.output(DType::f32, {3, 20});
      Linear::reference(make_spec(kIn, 20, packed ? p_bf16_format() : bf16_format(), arithmetic), args);
    }
    EXPECT_EQ(0, std::memcmp(out[0].data, out[1].data, 3 * 20 * sizeof(float))) << arithmetic_name(arithmetic);
  }
}

TEST(Linear, ScalesTheSumOfAGroupAndTakesTheOddElementFirst) {
  // One row of codes by the drawing: 1 everywhere, scales 2 and 0.5.
  std::vector<std::byte> strip(static_cast<std::size_t>(fp8g128_format().block_bytes));
  for (int i = 0; i < 256; ++i) strip[fp8_code_offset(0, i)] = std::byte{0x38};
  const float scales[2] = {2.0F, 0.5F};
  for (int g = 0; g < 2; ++g) std::memcpy(strip.data() + fp8_scale_offset(0, g), &scales[g], sizeof(float));
  const auto multiply_codes = [&](const std::vector<float>& x) {
    float out = 0.0F;
    Linear::Args args;
    args.x = make_view(x.data(), {1, 256});
    args.weights[0] = strip.data();
    args.out[0] = make_view(&out, {1, 1});
    Linear::reference(make_spec(256, 1, fp8g128_format(), Arithmetic::bf16), args);
    return out;
  };
  std::vector<float> x(256, 0.0F);
  x[5] = 3.0F;
  x[200] = 8.0F;
  EXPECT_EQ(multiply_codes(x), 3.0F * 2.0F + 8.0F * 0.5F);
  x.assign(256, 0.0F);
  x[0] = 0x1p25F;
  x[127] = 1.0F;      // odd: lost beside 2^25
  x[126] = -0x1p25F;  // even, behind it
  EXPECT_EQ(multiply_codes(x), 0.0F);
  std::swap(x[126], x[127]);
  EXPECT_EQ(multiply_codes(x), 2.0F);
}

TEST(Linear, RefusesScalesBesideNoneInBf16Arithmetic) {
  Linear::Spec spec = make_spec(64, 3, bf16_format(), Arithmetic::bf16);
  spec.weights = 2;
  spec.outputs[1] = {3, &fp8g128_format(), false};
  EXPECT_THAT(Linear::check(spec).error().message, HasSubstr("all weights have scales or none"));
  spec.outputs[1].format = &p_bf16_format();
  EXPECT_TRUE(Linear::check(spec));
}

/// One row, one feature, in = 1: dot products are x * w exactly.
float run_scalar(Linear::Spec spec, const std::vector<float>& weights, float bias, float residual) {
  const float x = 2.0F;
  std::vector<float> out(static_cast<std::size_t>(spec.weights), 0.0F);
  Linear::Args args;
  args.x = make_view(&x, {1, 1});
  for (int w = 0; w < spec.weights; ++w) {
    spec.outputs[w] = {1, &f32_format(), w == 0 && bias != 0.0F};
    args.weights[w] = reinterpret_cast<const std::byte*>(&weights[w]);
    args.out[w] = make_view(&out[w], {1, 1});
  }
  spec.in_features = 1;
  args.biases[0] = make_view(&bias, {1});
  args.residual = make_view(&residual, {1, 1});
  EXPECT_TRUE(Linear::check(spec));
  Linear::reference(spec, args);
  return out.front();
}

TEST(Linear, AddsTheBiasThenActivatesThenAddsTheResidual) {
  EXPECT_EQ(run_scalar({.activation = Activation::relu}, {-3}, 1, 0), 0.0F);  // relu(-6 + 1)
  EXPECT_EQ(run_scalar({.activation = Activation::relu}, {-3}, 7, 0), 1.0F);
  EXPECT_EQ(run_scalar({.activation = Activation::relu, .add_residual = true}, {-3}, 1, 10), 10.0F);
  EXPECT_EQ(run_scalar({.activation = Activation::silu}, {1.5}, 0, 0), silu_f32(3.0F));
  EXPECT_EQ(run_scalar({.activation = Activation::gelu}, {1.5}, 0, 0), gelu_f32(3.0F));
  EXPECT_EQ(run_scalar({.activation = Activation::gelu_tanh}, {1.5}, 0, 0), gelu_tanh_f32(3.0F));
}

TEST(Linear, GatesWithTheActivatedFirstWeight) {
  EXPECT_EQ(run_scalar({.weights = 2, .activation = Activation::relu, .gated = true}, {3, -5}, 1, 0), 7.0F * -10.0F);
  EXPECT_EQ(
      run_scalar({.weights = 2, .activation = Activation::relu, .gated = true, .add_residual = true}, {3, -5}, 1, 100),
      30.0F);
}

TEST(Linear, ARowDoesNotDependOnTheOtherRowsOfTheCall) {
  const Linear::Spec spec = make_spec(100, 7, bf16_format(), Arithmetic::bf16);
  CaseMemory memory(9);
  Linear::Args args;
  args.x = memory.hostile_rows({12, 100});
  args.weights[0] = memory.weight(bf16_format(), 700, 1.0F);
  args.out[0] = memory.output(DType::f32, {12, 7});
  Linear::reference(spec, args);
  for (std::int64_t r = 0; r < 12; ++r) {
    Linear::Args one = args;
    one.x = args.x.row_range(r, 1);
    one.out[0] = memory.output(DType::f32, {1, 7});
    Linear::reference(spec, one);
    EXPECT_EQ(0, std::memcmp(one.out[0].data, Rows<const float>(args.out[0])[r], 28)) << r;
  }
}

TEST(Linear, DoesNothingForNoRows) {
  Linear::Args args;
  args.x = make_view(static_cast<float*>(nullptr), {0, 4});
  args.out[0] = make_view(static_cast<float*>(nullptr), {0, 2});
  Linear::reference(make_spec(4, 2, f32_format(), Arithmetic::f32), args);
}

TEST(Linear, RefusesWhatItDoesNotDefineNamingFieldAndValues) {
  struct Refusal {
    std::function<void(Linear::Spec&)> spoil;
    std::string_view message;
  };
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const Refusal refusals[] = {
      {[](auto& s) { s.in_features = 0; }, "in_features is 0"},
      {[](auto& s) { s.in_features = -5; }, "in_features is -5"},
      {[](auto& s) { s.in_features = kHuge; }, "in_features is 4611686018427387904"},
      {[](auto& s) { s.outputs[0].features = kHuge; }, "outputs[0].features is 4611686018427387904"},
      {[](auto& s) { s.outputs[1].features = 0; }, "outputs[1].features is 0"},
      {[](auto& s) { s.outputs[1].format = nullptr; }, "outputs[1].format is missing"},
      {[](auto& s) { s.weights = 0; }, "weights is 0, it must be between 1 and 4"},
      {[](auto& s) { s.weights = 5; }, "weights is 5"},
      {[](auto& s) { s.arithmetic = Arithmetic::bf16; }, "outputs[0].format is f32, arithmetic bf16 takes bf16"},
      {[](auto& s) { s.arithmetic = static_cast<Arithmetic>(9); }, "arithmetic is 9"},
      {[](auto& s) { s.activation = static_cast<Activation>(77); }, "activation is 77"},
      {[](auto& s) { s.gated = true, s.weights = 1; }, "gated with 1 weights, it takes 2"},
      {[](auto& s) { s.gated = true, s.outputs[1].features = 6; }, "gated with 5 gate and 6 up features"},
      {[](auto& s) { s.add_residual = true; }, "add_residual with 2 outputs"},
  };
  Linear::Spec good = make_spec(8, 5, f32_format(), Arithmetic::f32);
  good.weights = 2;
  good.outputs[1] = good.outputs[0];
  ASSERT_TRUE(Linear::check(good));
  for (const Refusal& refusal : refusals) {
    Linear::Spec spec = good;
    refusal.spoil(spec);
    const Result<void> checked = Linear::check(spec);
    ASSERT_FALSE(checked) << refusal.message;
    EXPECT_THAT(checked.error().message, HasSubstr(std::string(refusal.message)));
    EXPECT_THAT(checked.error().message, HasSubstr("op \"linear\""));
  }
}

TEST(Linear, RefusesARowThatIsNoWholeNumberOfAFormatsBlocks) {
  WeightFormat blocks = f32_format();
  blocks.name = "blocks";
  blocks.block_values = 64;
  const Result<void> checked = Linear::check(make_spec(100, 1, blocks, Arithmetic::f32));
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("in_features is 100, it must be a multiple of 64"));
}

}  // namespace
}  // namespace corbel
