#include "corbel/device/cpu/cpu_tuning.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/format/packed_format.h"

// Trying what moves speed: the packed linear layers of a decoder of hidden 2048, ffn 8192, more than caches hold.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kHidden = 2048;
constexpr std::int64_t kFfn = 8192;
constexpr std::int64_t kMostRows = 512;
constexpr int kTurns = 7;
// Values take turns, so that a slow minute of the machine hits all of them; less than this is noise.
constexpr double kWorthwhile = 0.97;
// Fewer rows are read from memory: more layers than caches hold.
constexpr int kLayers = 4;
constexpr std::int64_t kFewRows = 32;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<Linear::Spec> layer_specs() {
  const WeightFormat* const format = &w4g16_format();
  Linear::Spec up{.in_features = kHidden, .weights = 2, .arithmetic = Arithmetic::int8};
  up.outputs[0] = up.outputs[1] = {.features = kFfn, .format = format};
  up.gated = true;
  up.activation = Activation::silu;
  Linear::Spec down{.in_features = kFfn, .weights = 1, .arithmetic = Arithmetic::int8};
  down.outputs[0] = {.features = kHidden, .format = format};
  return {up, down};
}

/// Weights and activations of some layers: any numbers will do.
struct Material {
  MemoryBlock weights;  // of kLayers, one after the other
  MemoryBlock hidden, inner, out;
  std::int64_t layer_bytes = 0;
};

Result<Material> make_material() {
  const WeightFormat& format = w4g16_format();
  Material made;
  made.layer_bytes = 2 * format.matrix_bytes(kFfn, kHidden) + format.matrix_bytes(kHidden, kFfn);
  CORBEL_ASSIGN(made.weights, allocate_host_memory(static_cast<std::size_t>(kLayers * made.layer_bytes)));
  CORBEL_ASSIGN(made.hidden, allocate_host_memory(kMostRows * kHidden * sizeof(float)));
  CORBEL_ASSIGN(made.out, allocate_host_memory(kMostRows * kHidden * sizeof(float)));
  CORBEL_ASSIGN(made.inner, allocate_host_memory(kMostRows * kFfn * sizeof(float)));
  std::vector<float> values(static_cast<std::size_t>(kStripRows * kPackedColumns));
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8) * 0x1p-24F - 0.5F;
  }
  std::byte* const to = made.weights.data();
  format.encode_matrix(values.data(), kStripRows, kPackedColumns, to);
  for (std::int64_t at = format.block_bytes; at < kLayers * made.layer_bytes; at += format.block_bytes)
    std::memcpy(to + at, to, static_cast<std::size_t>(format.block_bytes));
  auto* const x = reinterpret_cast<float*>(made.hidden.data());
  for (std::int64_t i = 0; i < kMostRows * kHidden; ++i) x[i] = static_cast<float>(i % 17 - 8) * 0.1F;
  return made;
}

/// The layers as a device with one tuning prepares them.
struct Contestant {
  std::unique_ptr<CpuDevice> device;
  std::vector<Prepared<Linear>> ops;
};

double run_once(const Contestant& contestant, const Material& material, std::int64_t rows) {
  RunContext context{.device = contestant.device.get()};
  const TensorView hidden = make_view(reinterpret_cast<float*>(material.hidden.data()), {rows, kHidden});
  const TensorView inner = make_view(reinterpret_cast<float*>(material.inner.data()), {rows, kFfn});
  const int layers = rows < kFewRows ? kLayers : 1;
  const WeightFormat& format = w4g16_format();
  const double begin = seconds_now();
  for (int layer = 0; layer < layers; ++layer) {
    const std::byte* const weights = material.weights.data() + layer * material.layer_bytes;
    Linear::Args up{.x = hidden};
    up.weights[0] = weights;
    up.weights[1] = weights + format.matrix_bytes(kFfn, kHidden);
    up.out[0] = inner;
    contestant.ops[0](up, context);
    Linear::Args down{.x = inner};
    down.weights[0] = weights + 2 * format.matrix_bytes(kFfn, kHidden);
    down.out[0] = make_view(reinterpret_cast<float*>(material.out.data()), {rows, kHidden});
    contestant.ops[1](down, context);
  }
  return seconds_now() - begin;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Time of each value, the sum over the knob's rows of the medians of turns, each as a share of the first value's.
std::vector<double> time_values(const CpuKnob& knob, const std::vector<Contestant>& contestants,
                                const Material& material) {
  std::vector<double> total(contestants.size(), 0.0);
  for (const std::int64_t rows : knob.rows) {
    std::vector<std::vector<double>> seconds(contestants.size());
    for (int turn = 0; turn <= kTurns; ++turn) {
      for (std::size_t i = 0; i < contestants.size(); ++i) {
        const double once = run_once(contestants[i], material, rows);
        if (turn > 0) seconds[i].push_back(once);  // the first touches what is new
      }
    }
    // Shares, so that the kinds of work weigh alike.
    const double first = median(seconds[0]);
    for (std::size_t i = 0; i < contestants.size(); ++i) total[i] += median(seconds[i]) / first;
  }
  return total;
}

}  // namespace

Result<CpuTuning> read_tuning(const Tuning& tuning) {
  CpuTuning read;
  for (const auto& [name, value] : tuning) {
    const auto knob = std::ranges::find_if(kCpuKnobs, [&](const CpuKnob& known) { return name == known.name; });
    if (knob == kCpuKnobs.end())
      return fail(Code::bad_request, cat("tuning of device \"cpu\": it knows no \"", name, "\"; tune again"));
    if (value < knob->least || value > knob->most) {
      return fail(Code::bad_request, cat("tuning of device \"cpu\": ", name, " is ", value, "; expected ", knob->least,
                                         " to ", knob->most, "; tune again"));
    }
    read.*(knob->member) = value;
  }
  return read;
}

Result<TuningReport> CpuDevice::tune(const TuningProgress& progress) {
  CORBEL_ASSIGN(const Material material, make_material());
  CpuTuning best;
  TuningReport report;
  for (const CpuKnob& knob : kCpuKnobs) {
    progress(knob.name);
    std::vector<Contestant> contestants;
    for (const std::int64_t value : knob.tried) {
      CpuTuning tried = best;
      tried.*(knob.member) = value;
      Contestant made{std::make_unique<CpuDevice>(kernels_, tried, MissingOps::strict, *pool()), {}};
      for (const Linear::Spec& spec : layer_specs()) {
        CORBEL_ASSIGN(Prepared<Linear> op, made.device->prepare<Linear>(spec));
        made.ops.push_back(std::move(op));
      }
      contestants.push_back(std::move(made));
    }
    const std::vector<double> seconds = time_values(knob, contestants, material);
    const auto usual =
        static_cast<std::size_t>(std::ranges::find(knob.tried, best.*(knob.member)) - knob.tried.begin());
    const auto fastest = static_cast<std::size_t>(std::ranges::min_element(seconds) - seconds.begin());
    if (seconds[fastest] < kWorthwhile * seconds[usual]) best.*(knob.member) = knob.tried[fastest];
    for (std::size_t i = 0; i < seconds.size(); ++i)
      report.trials.push_back({knob.name, knob.tried[i], seconds[i] / seconds[usual]});
    report.tuning[knob.name] = best.*(knob.member);
  }
  return report;
}

}  // namespace corbel::cpu
