// linear_bench [threads] [level]: the linear layers of a decoder of hidden 2048 and ffn 8192 with bf16 weights, as in
// decode (one row) and in prefill, against the limits of the machine measured between the runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "corbel/device/device_list.h"
#include "corbel/device/limits.h"
#include "corbel/device/run_context.h"

namespace {

using namespace corbel;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One linear layer with weights of its own.
struct Layer {
  Prepared<Linear> op;
  Linear::Args args;
  std::int64_t weight_bytes = 0;
  double operations_per_row = 0;
};

struct Model {
  MemoryBlock weights;
  MemoryBlock activations;
  std::vector<Layer> layers;
  std::int64_t weight_bytes = 0;
  double operations_per_row = 0;
};

constexpr std::int64_t kMaxRows = 512;
constexpr std::int64_t kMaxFeatures = 8192;

Linear::Spec spec_of(std::int64_t in, std::vector<std::int64_t> features, Arithmetic arithmetic) {
  Linear::Spec spec;
  spec.in_features = in;
  spec.weights = static_cast<int>(features.size());
  spec.arithmetic = arithmetic;
  for (std::size_t w = 0; w < features.size(); ++w)
    spec.outputs[w] = {.features = features[w], .format = &bf16_format()};
  return spec;
}

Model make_model(const Device& device, int layers, Arithmetic arithmetic) {
  std::vector<Linear::Spec> specs;
  for (int layer = 0; layer < layers; ++layer) {
    specs.push_back(spec_of(2048, {2048, 512, 512}, arithmetic));
    specs.push_back(spec_of(2048, {2048}, arithmetic));
    specs.back().add_residual = true;
    specs.push_back(spec_of(2048, {8192, 8192}, arithmetic));
    specs.back().gated = true;
    specs.back().activation = Activation::silu;
    specs.push_back(spec_of(8192, {2048}, arithmetic));
    specs.back().add_residual = true;
  }
  Model model;
  for (const Linear::Spec& spec : specs)
    for (int w = 0; w < spec.weights; ++w) model.weight_bytes += spec.outputs[w].features * spec.in_features * 2;
  model.weights = *allocate_host_memory(static_cast<std::size_t>(model.weight_bytes));
  auto* const numbers = reinterpret_cast<std::uint16_t*>(model.weights.data());
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < model.weight_bytes / 2; ++i) {
    state = state * 1664525U + 1013904223U;
    numbers[i] = static_cast<std::uint16_t>(0x3c00U | (state >> 16 & 0x81ffU));  // about +-0.01
  }
  const std::size_t block = kMaxRows * kMaxFeatures * sizeof(float);
  model.activations = *allocate_host_memory(5 * block);
  auto* const x = reinterpret_cast<float*>(model.activations.data());
  for (std::int64_t i = 0; i < kMaxRows * kMaxFeatures; ++i) x[i] = static_cast<float>(i % 17 - 8) * 0.1F;
  const std::byte* weight = model.weights.data();
  for (const Linear::Spec& spec : specs) {
    Layer layer{.op = *device.prepare<Linear>(spec)};
    layer.args.x = make_view(x, {kMaxRows, spec.in_features});
    for (int w = 0; w < spec.weights; ++w) {
      const std::int64_t values = spec.outputs[w].features * spec.in_features;
      layer.args.weights[w] = weight;
      weight += values * 2;
      layer.weight_bytes += values * 2;
      layer.operations_per_row += 2.0 * static_cast<double>(values);
      layer.args.out[w] = make_view(x + (w + 1) * kMaxRows * kMaxFeatures, {kMaxRows, spec.outputs[w].features});
    }
    layer.args.residual = layer.args.out[0];
    model.operations_per_row += layer.operations_per_row;
    model.layers.push_back(layer);
  }
  return model;
}

double run_once(const Model& model, Device& device, std::int64_t rows) {
  RunContext context{.device = &device};
  const double begin = seconds_now();
  for (const Layer& layer : model.layers) {
    Linear::Args args = layer.args;
    args.x = args.x.row_range(0, rows);
    args.residual = args.residual.row_range(0, rows);
    for (int w = 0; w < layer.op.spec().weights; ++w) args.out[w] = args.out[w].row_range(0, rows);
    layer.op(args, context);
  }
  return seconds_now() - begin;
}

double median_seconds(const Model& model, Device& device, std::int64_t rows, int runs) {
  std::vector<double> seconds;
  run_once(model, device, rows);
  for (int run = 0; run < runs; ++run) seconds.push_back(run_once(model, device, rows));
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

void report_decode(Device& device, const Model& model, double read_bytes_per_s) {
  for (const std::int64_t rows : {1, 2, 4, 8, 16}) {
    const double seconds = median_seconds(model, device, rows, 5);
    const double bytes_per_s = static_cast<double>(model.weight_bytes) / seconds;
    std::printf("  rows %2ld: %7.2f ms  %6.2f GB/s of weights = %.3f of reading\n", static_cast<long>(rows),
                seconds * 1e3, bytes_per_s / 1e9, bytes_per_s / read_bytes_per_s);
  }
}

void report_prefill(Device& device, const Model& model, double peak) {
  for (const std::int64_t rows : {32, 128, 512}) {
    const double seconds = median_seconds(model, device, rows, 1);
    const double operations = model.operations_per_row * static_cast<double>(rows) / seconds;
    std::printf("  rows %3ld: %8.2f ms  %7.1f GOPS = %.3f of peak\n", static_cast<long>(rows), seconds * 1e3,
                operations / 1e9, operations / peak);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : usable_processors();
  const std::string level = argc > 2 ? argv[2] : "";
  const bool all = argc <= 3;  // a third argument: decode only
  auto pool = ThreadPool::make(threads);
  for (const DeviceEntry& entry : linked_devices()) {
    if (entry.name != "cpu") continue;
    auto device = entry.make({.level = level}, **pool);
    if (!device) {
      std::fprintf(stderr, "%s\n", device.error().message.c_str());
      return 1;
    }
    std::printf("%s, %d threads\n", (*device)->info().profile().c_str(), threads);
    for (const Arithmetic arithmetic : {Arithmetic::bf16, Arithmetic::f32}) {
      const Model model = make_model(**device, 10, arithmetic);
      const MachineLimits limits = *(*device)->measure_limits({});
      std::printf("read %.2f GB/s (%s), peaks in GOPS: f32 %.0f bf16 %.0f int8 %.0f, tiles bf16 %.0f int8 %.0f\n",
                  limits.read_bytes_per_s / 1e9, limits.read_loop.c_str(), limits.f32_ops_per_s / 1e9,
                  limits.bf16_ops_per_s / 1e9, limits.int8_ops_per_s / 1e9, limits.tile_bf16_ops_per_s / 1e9,
                  limits.tile_int8_ops_per_s / 1e9);
      std::printf(" arithmetic %s, %.2f GB of bf16 weights\n", to_string(arithmetic).c_str(),
                  static_cast<double>(model.weight_bytes) / 1e9);
      report_decode(**device, model, limits.read_bytes_per_s);
      const bool bf16 = arithmetic == Arithmetic::bf16;
      if (all) report_prefill(**device, model, bf16 ? limits.bf16_ops_per_s : limits.f32_ops_per_s);
      if (!all) break;
    }
  }
  return 0;
}
