// linear_bench [threads] [level] [format] [what]: the linear layers of a decoder of hidden 2048, ffn 8192 and
// vocabulary 128,256 (Llama-3.2-1B's), against the limits of the machine measured before and after. format: bf16 (the
// default), f32 (bf16 weights in f32 arithmetic), or a packed format; what: all (the default),
// decode, prefill, or a number of rows.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "corbel/device/device_list.h"
#include "corbel/device/limits.h"
#include "corbel/device/run_context.h"
#include "corbel/format/packed_format.h"

namespace {

using namespace corbel;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One linear layer with weights of its own.
struct Layer {
  Prepared<Linear> op;
  Linear::Args args;
  double operations_per_row = 0;
};

struct Model {
  MemoryBlock weights;
  MemoryBlock activations;
  std::vector<Layer> layers;
  std::int64_t weight_bytes = 0;
  double operations_per_row = 0;
};

constexpr std::int64_t kMaxRows = 2048;
constexpr std::int64_t kMaxFeatures = 8192;
constexpr std::int64_t kVocabulary = 128256;

struct Kind {
  const WeightFormat* format;
  Arithmetic arithmetic;
};

Linear::Spec spec_of(std::int64_t in, const std::vector<std::int64_t>& features, const Kind& kind) {
  Linear::Spec spec;
  spec.in_features = in;
  spec.weights = static_cast<int>(features.size());
  spec.arithmetic = kind.arithmetic;
  for (std::size_t w = 0; w < features.size(); ++w) spec.outputs[w] = {.features = features[w], .format = kind.format};
  return spec;
}

std::vector<Linear::Spec> decoder_specs(int layers, const Kind& kind) {
  std::vector<Linear::Spec> specs;
  for (int layer = 0; layer < layers; ++layer) {
    specs.push_back(spec_of(2048, {2048, 512, 512}, kind));
    specs.push_back(spec_of(2048, {2048}, kind));
    specs.back().add_residual = true;
    specs.push_back(spec_of(2048, {8192, 8192}, kind));
    specs.back().gated = true;
    specs.back().activation = Activation::silu;
    specs.push_back(spec_of(8192, {2048}, kind));
    specs.back().add_residual = true;
  }
  return specs;
}

/// Any weights will do: of packed formats one encoded block over and over, else random bits of about +-0.01.
void fill_weights(const WeightFormat& format, std::byte* to, std::int64_t bytes) {
  std::uint32_t state = 1;
  const auto next = [&state] { return state = state * 1664525U + 1013904223U; };
  if (format.packed == nullptr) {
    auto* const numbers = reinterpret_cast<std::uint16_t*>(to);
    for (std::int64_t i = 0; i < bytes / 2; ++i)
      numbers[i] = static_cast<std::uint16_t>(0x3c00U | (next() >> 16 & 0x81ffU));
    return;
  }
  std::vector<float> values(static_cast<std::size_t>(kStripRows * kPackedColumns));
  for (float& value : values) value = static_cast<float>(next() >> 8) * 0x1p-24F - 0.5F;
  format.encode_matrix(values.data(), kStripRows, kPackedColumns, to);
  for (std::int64_t at = format.block_bytes; at < bytes; at += format.block_bytes)
    std::memcpy(to + at, to, static_cast<std::size_t>(format.block_bytes));
}

Model make_model(const Device& device, const std::vector<Linear::Spec>& specs) {
  const WeightFormat& format = *specs[0].outputs[0].format;
  const auto bytes_of = [&](const Linear::Spec& spec, int w) {
    return format.matrix_bytes(spec.outputs[w].features, spec.in_features);
  };
  Model model;
  for (const Linear::Spec& spec : specs)
    for (int w = 0; w < spec.weights; ++w) model.weight_bytes += bytes_of(spec, w);
  model.weights = *allocate_host_memory(static_cast<std::size_t>(model.weight_bytes));
  fill_weights(format, model.weights.data(), model.weight_bytes);
  const std::size_t block = kMaxRows * kMaxFeatures * sizeof(float);
  model.activations = *allocate_host_memory(5 * block);
  auto* const x = reinterpret_cast<float*>(model.activations.data());
  for (std::int64_t i = 0; i < kMaxRows * kMaxFeatures; ++i) x[i] = static_cast<float>(i % 17 - 8) * 0.1F;
  const std::byte* weight = model.weights.data();
  for (const Linear::Spec& spec : specs) {
    Layer layer{.op = *device.prepare<Linear>(spec)};
    layer.args.x = make_view(x, {kMaxRows, spec.in_features});
    for (int w = 0; w < spec.weights; ++w) {
      layer.args.weights[w] = weight;
      weight += bytes_of(spec, w);
      layer.operations_per_row += 2.0 * static_cast<double>(spec.outputs[w].features * spec.in_features);
      const std::int64_t rows = std::min(kMaxRows, kMaxRows * kMaxFeatures / spec.outputs[w].features);
      layer.args.out[w] = make_view(x + (w + 1) * kMaxRows * kMaxFeatures, {rows, spec.outputs[w].features});
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

struct Limits {
  double read_bytes_per_s;
  double peak_ops_per_s;
};

Limits measure(Device& device, Arithmetic arithmetic, int threads) {
  const MachineLimits limits = *device.measure_limits({.threads = threads});
  std::printf("limits: read %.2f GB/s (%s), GOPS: f32 %.0f bf16 %.0f int8 %.0f, tiles bf16 %.0f int8 %.0f\n",
              limits.read_bytes_per_s / 1e9, limits.read_loop.c_str(), limits.f32_ops_per_s / 1e9,
              limits.bf16_ops_per_s / 1e9, limits.int8_ops_per_s / 1e9, limits.tile_bf16_ops_per_s / 1e9,
              limits.tile_int8_ops_per_s / 1e9);
  double peak = limits.f32_ops_per_s;
  if (arithmetic == Arithmetic::bf16) peak = limits.bf16_ops_per_s;
  if (arithmetic == Arithmetic::int8) peak = limits.int8_ops_per_s;
  return {limits.read_bytes_per_s, peak};
}

void report(Device& device, const Model& model, std::int64_t rows, int runs, const Limits& limits) {
  const double seconds = median_seconds(model, device, rows, runs);
  const double bytes_per_s = static_cast<double>(model.weight_bytes) / seconds;
  const double operations = model.operations_per_row * static_cast<double>(rows) / seconds;
  std::printf("  rows %4ld: %8.2f ms  %6.2f GB/s of weights = %.3f of reading  %7.1f GOPS = %.3f of peak\n",
              static_cast<long>(rows), seconds * 1e3, bytes_per_s / 1e9, bytes_per_s / limits.read_bytes_per_s,
              operations / 1e9, operations / limits.peak_ops_per_s);
}

Result<Kind> find_kind(const std::string& name) {
  if (name == "f32") return Kind{&bf16_format(), Arithmetic::f32};
  CORBEL_ASSIGN(const WeightFormat* format, find_weight_format(name));
  if (format->packed == nullptr) return Kind{format, Arithmetic::bf16};
  if (format->packed->has_integers()) return Kind{format, Arithmetic::int8};
  return Kind{format, format->packed->numbers_are_bf16 ? Arithmetic::bf16 : Arithmetic::f32};
}

void run_all(Device& device, const Kind& kind, const std::string& what, int threads) {
  std::vector<Linear::Spec> specs = decoder_specs(16, kind);
  if (const int rows = std::atoi(what.c_str()); rows > 0) {
    const Model model = make_model(device, specs);
    const Limits limits = measure(device, kind.arithmetic, threads);
    report(device, model, rows, rows < 512 ? 9 : 3, limits);
    static_cast<void>(measure(device, kind.arithmetic, threads));
    return;
  }
  if (what != "prefill") {
    std::vector<Linear::Spec> with_head = specs;
    with_head.push_back(spec_of(2048, {kVocabulary}, kind));
    const Model model = make_model(device, with_head);
    std::printf(" all layers and the head: %.2f GB\n", static_cast<double>(model.weight_bytes) / 1e9);
    const Limits limits = measure(device, kind.arithmetic, threads);
    for (const std::int64_t rows : {1, 2, 3, 4, 6, 8, 12, 16}) report(device, model, rows, 5, limits);
    static_cast<void>(measure(device, kind.arithmetic, threads));
  }
  if (what != "decode") {
    const Model model = make_model(device, specs);
    const Limits limits = measure(device, kind.arithmetic, threads);
    for (const std::int64_t rows : {32, 64, 128, 512, 2048}) report(device, model, rows, rows < 512 ? 3 : 1, limits);
    static_cast<void>(measure(device, kind.arithmetic, threads));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : usable_processors();
  const std::string level = argc > 2 ? argv[2] : "";
  const std::string format = argc > 3 ? argv[3] : "bf16";
  const std::string what = argc > 4 ? argv[4] : "all";
  auto pool = ThreadPool::make(threads);
  const Result<Kind> kind = find_kind(format);
  if (!kind) {
    std::fprintf(stderr, "%s\n", kind.error().message.c_str());
    return 1;
  }
  for (const DeviceEntry& entry : linked_devices()) {
    if (entry.name != "cpu") continue;
    auto device = entry.make({.level = level}, **pool);
    if (!device) {
      std::fprintf(stderr, "%s\n", device.error().message.c_str());
      return 1;
    }
    std::printf("%s, %d threads, %s\n", (*device)->info().profile().c_str(), threads, format.c_str());
    run_all(**device, *kind, what, threads);
  }
  return 0;
}
