#include "corbel/device/conformance.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>

#include "corbel/device/run_context.h"

namespace corbel {
namespace {

// Address space for a kernel's scratch; memory is committed where it is touched.
constexpr std::size_t kScratchBytes = std::size_t{1} << 30;

/// Bits as a number that grows with the value, so that differences count steps.
template <typename Signed, typename Bits>
std::int64_t ordered(Bits bits) {
  const auto value = static_cast<Signed>(bits);
  return value < 0 ? std::int64_t{std::numeric_limits<Signed>::min()} - value : value;
}

struct Element {
  double value = 0.0;
  std::int64_t order = 0;
  bool is_nan = false;
};

template <typename T>
T load(const void* data, std::int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + index * static_cast<std::int64_t>(sizeof(T)), sizeof value);
  return value;
}

Element read_element(const TensorView& view, std::int64_t index) {
  switch (view.dtype) {
    case DType::f32: {
      const auto value = load<float>(view.data, index);
      return {value, ordered<std::int32_t>(std::bit_cast<std::uint32_t>(value)), std::isnan(value)};
    }
    case DType::bf16: {
      const auto stored = load<bfloat16>(view.data, index);
      return {to_float(stored), ordered<std::int16_t>(stored.bits), std::isnan(to_float(stored))};
    }
    case DType::f16: {
      const auto stored = load<float16>(view.data, index);
      return {to_float(stored), ordered<std::int16_t>(stored.bits), std::isnan(to_float(stored))};
    }
    case DType::i32: {
      const auto value = load<std::int32_t>(view.data, index);
      return {static_cast<double>(value), value};
    }
    case DType::i64: {
      const auto value = load<std::int64_t>(view.data, index);
      return {static_cast<double>(value), value};
    }
    case DType::i8:
    case DType::u8: {
      const auto value = load<std::uint8_t>(view.data, index);
      return {static_cast<double>(value), value};
    }
  }
  return {};
}

/// Compares one block; `view.shape` covers the whole of it, padding columns included.
void compare_block(const TensorView& expected, const TensorView& found, std::int64_t output, ConformanceRow& row) {
  const std::int64_t count = expected.shape.elements();
  const std::int64_t bytes = dtype_bytes(expected.dtype);
  if (count == 0 || std::memcmp(expected.data, found.data, static_cast<std::size_t>(count * bytes)) == 0) return;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::memcmp(static_cast<const std::byte*>(expected.data) + i * bytes,
                    static_cast<const std::byte*>(found.data) + i * bytes, static_cast<std::size_t>(bytes)) == 0)
      continue;
    const Element want = read_element(expected, i);
    const Element got = read_element(found, i);
    if (want.is_nan && got.is_nan) continue;
    // -0 and +0 share a place in the order, but not their bytes: one step. A NaN is as far away as can be.
    std::uint64_t ulps = static_cast<std::uint64_t>(std::llabs(want.order - got.order));
    if (ulps == 0) ulps = 1;
    if (want.is_nan != got.is_nan) ulps = std::numeric_limits<std::uint32_t>::max();
    if (row.wrong_elements++ == 0 || ulps > row.worst.ulps) row.worst = {output, i, want.value, got.value, ulps};
  }
}

/// One case: its memory and arguments for the reference and, apart from that, for the devices.
template <typename Op>
class CaseRun {
 public:
  CaseRun(const OpCase<Op>& one, std::uint64_t seed)
      : case_(one), expected_(seed), found_(seed), args_(one.make_args(found_)) {
    const typename Op::Args reference_args = one.make_args(expected_);
    Op::reference(one.spec, reference_args);
    found_.keep_initial();
  }

  void run(Device& device, Arena& scratch, ConformanceRow& row) {
    const Result<Prepared<Op>> prepared = device.prepare<Op>(case_.spec);
    if (!prepared) {
      row.problem = cat("prepare refused: ", prepared.error().message);
      return;
    }
    found_.reset();
    RunContext context{.device = &device, .scratch = &scratch};
    {
      const ArenaScope scope(scratch);
      (*prepared)(args_, context);
    }
    if (const Result<void> finished = device.finish(); !finished) {
      row.problem = cat("finish failed: ", finished.error().message);
      return;
    }
    if (!found_.guards_intact()) row.problem = "it wrote outside of its outputs";
    if (!found_.same_inputs(expected_)) row.problem = "it changed an input";
    const std::vector<TensorView>& expected = expected_.compared();
    for (std::size_t i = 0; i < expected.size(); ++i)
      compare_block(expected[i], found_.compared()[i], static_cast<std::int64_t>(i), row);
    row.ok = row.problem.empty() && row.wrong_elements == 0;
  }

 private:
  const OpCase<Op>& case_;
  CaseMemory expected_;
  CaseMemory found_;
  typename Op::Args args_;
};

class Runner {
 public:
  Runner(std::span<Device* const> devices, const ConformanceSettings& settings, Arena& scratch)
      : devices_(devices), settings_(settings), scratch_(scratch) {}

  template <typename Op>
  void run_op() {
    if (!settings_.only_op.empty() && settings_.only_op != Op::kName) return;
    std::uint64_t seed = 1;
    for (const OpCase<Op>& one : Op::cases(settings_.scale)) run_case(one, seed++);
  }

  const ConformanceSummary& summary() const { return summary_; }

 private:
  template <typename Op>
  void run_case(const OpCase<Op>& one, std::uint64_t seed) {
    if (const Result<void> checked = Op::check(one.spec); !checked) {
      for (Device* device : devices_) {
        ConformanceRow row = row_of<Op>(*device, one);
        row.problem = cat("the op refuses its own case: ", checked.error().message);
        count(row);
      }
      return;
    }
    std::optional<CaseRun<Op>> run;
    for (Device* device : devices_) {
      ConformanceRow row = row_of<Op>(*device, one);
      if (device->table().template entry<Op>().prepare == nullptr) {
        row.by_reference = row.ok = true;
      } else {
        if (!run) run.emplace(one, seed);
        run->run(*device, scratch_, row);
      }
      count(row);
    }
  }

  template <typename Op>
  static ConformanceRow row_of(const Device& device, const OpCase<Op>& one) {
    return {
        .device = device.info().profile(), .threads = device.info().threads, .op = Op::kName, .case_name = one.name};
  }

  void count(const ConformanceRow& row) {
    summary_.cases += row.by_reference ? 0 : 1;
    summary_.by_reference += row.by_reference ? 1 : 0;
    summary_.failed += row.ok ? 0 : 1;
    if (settings_.report) settings_.report(row);
  }

  std::span<Device* const> devices_;
  const ConformanceSettings& settings_;
  Arena& scratch_;
  ConformanceSummary summary_;
};

}  // namespace

std::string to_string(const ConformanceRow& row) {
  std::string text = cat(row.op, " ", row.device, " threads=", row.threads, " ", row.case_name, ": ");
  if (row.by_reference) return text + "the device has no such op (reference)";
  if (row.ok) return text + "ok";
  text += row.problem;
  if (row.wrong_elements > 0) {
    text += cat(row.problem.empty() ? "" : "; ", row.wrong_elements, " elements differ, worst: output ",
                row.worst.output, " element ", row.worst.index, ": expected ", row.worst.expected, ", found ",
                row.worst.found, " (", row.worst.ulps, " ulps)");
  }
  return text;
}

ConformanceSummary run_conformance(std::span<Device* const> devices, const ConformanceSettings& settings) {
  const Result<DeviceMemory> memory = allocate_host_memory(kScratchBytes);
  if (!memory) {
    const ConformanceRow row{.op = "scratch", .problem = memory.error().message};
    if (settings.report) settings.report(row);
    return {.cases = 0, .failed = 1};
  }
  Arena scratch(memory->data(), memory->bytes());
  Runner runner(devices, settings, scratch);
  for_each_op([&runner]<typename Op>() { runner.run_op<Op>(); });
  return runner.summary();
}

}  // namespace corbel
