#include "corbel/device/cpu/cpu_tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "corbel/device/cpu/cpu_device.h"
#include "corbel/device/run_context.h"
#include "corbel/format/packed_format.h"

// Tuning moves speed alone: whatever is tried, results have the bits of the op's reference, and what is no tuning is
// refused.

namespace corbel {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kIn = 768;
constexpr std::int64_t kOut = 208;

struct Layer {
  Layer() : weights(static_cast<std::size_t>(w4g16_format().matrix_bytes(kOut, kIn)) + 64) {
    spec.in_features = kIn;
    spec.outputs[0] = {.features = kOut, .format = &w4g16_format()};
    spec.arithmetic = Arithmetic::int8;
    std::vector<float> values(kOut * kIn);
    for (float& value : values) value = next();
    aligned = weights.data() + (64 - reinterpret_cast<std::uintptr_t>(weights.data()) % 64) % 64;
    w4g16_format().encode_matrix(values.data(), kOut, kIn, aligned);
  }
  float next() {
    state = state * 1664525U + 1013904223U;
    return static_cast<float>(state >> 8) * 0x1p-23F - 1.0F;
  }
  Linear::Spec spec;
  std::vector<std::byte> weights;
  std::byte* aligned = nullptr;
  std::uint32_t state = 3;
};

std::vector<float> run_layer(const Layer& layer, Device& device, std::vector<float>& x) {
  const auto rows = static_cast<std::int64_t>(x.size()) / kIn;
  std::vector<float> out(static_cast<std::size_t>(rows * kOut));
  Linear::Args args{.x = make_view(x.data(), {rows, kIn})};
  args.weights[0] = layer.aligned;
  args.out[0] = make_view(out.data(), {rows, kOut});
  RunContext context{.device = &device};
  (*device.prepare<Linear>(layer.spec))(args, context);
  return out;
}

TEST(CpuTuning, EveryTriedValueGivesTheReferencesBits) {
  Layer layer;
  const auto pool = *ThreadPool::make(2);
  const auto reference = make_reference_device();
  for (const std::int64_t rows : {1, 9, 16, 40, 130, 600}) {
    std::vector<float> x(static_cast<std::size_t>(rows * kIn));
    for (float& value : x) value = layer.next();
    const std::vector<float> expected = run_layer(layer, *reference, x);
    for (const cpu::CpuKnob& knob : cpu::kCpuKnobs) {
      std::vector<std::int64_t> values(knob.tried.begin(), knob.tried.end());
      values.insert(values.end(), {knob.least, knob.most});
      for (const std::int64_t value : values) {
        const auto device = *make_cpu_device({.tuning = {{knob.name, value}}}, *pool);
        const std::vector<float> found = run_layer(layer, *device, x);
        EXPECT_EQ(std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)), 0)
            << knob.name << " " << value << ", rows " << rows;
      }
    }
  }
}

TEST(CpuTuning, WhatTheTableDoesNotHaveIsRefusedByName) {
  const auto pool = *ThreadPool::make(1);
  const auto unknown = make_cpu_device({.tuning = {{"colour", 3}}}, *pool);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message, HasSubstr("\"colour\""));
  const auto large = make_cpu_device({.tuning = {{"direct_tiles", 9}}}, *pool);
  ASSERT_FALSE(large.has_value());
  EXPECT_THAT(large.error().message, HasSubstr("direct_tiles is 9; expected 1 to 8"));
  const auto negative = make_cpu_device({.tuning = {{"unit_bytes", -1}}}, *pool);
  EXPECT_FALSE(negative.has_value());
}

TEST(CpuTuning, ADeviceWithoutAnythingToTuneSaysSo) {
  const auto report = make_reference_device()->tune([](const std::string&) {});
  ASSERT_FALSE(report.has_value());
  EXPECT_THAT(report.error().message, HasSubstr("nothing to tune"));
}

}  // namespace
}  // namespace corbel
