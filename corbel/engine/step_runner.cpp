#include "corbel/engine/step_runner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "corbel/engine/sampler_passes.h"

namespace corbel {
namespace {

std::int64_t pages_of(std::int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

/// Scratch of the largest steps: all rows prefill, and all rows decode. Runs the forward on a measuring arena.
std::int64_t measure_scratch(const TextModel& model, const StepBuffer& buffer, const RunnerLimits& limits) {
  std::vector<KvLayer> layers(static_cast<std::size_t>(model.info().layers));
  std::size_t peak = 0;
  const std::int64_t logit_rows = std::min(limits.logit_rows, limits.step_rows);
  const std::int64_t decode_rows = std::min(limits.sequences, limits.step_rows);
  for (const std::int64_t decoding : {std::int64_t{0}, decode_rows}) {
    Arena arena;
    RunContext context{.scratch = &arena};
    const StepInputs step = buffer.measure(limits.step_rows - decoding, decoding, logit_rows);
    const TensorView logits = arena.allocate(DType::f32, {logit_rows, model.info().vocab});
    model.forward(step, CacheView{layers}, logits, context);
    peak = std::max(peak, arena.peak_bytes());
    if (limits.hidden_rows == 0) continue;
    Arena for_hidden;
    context.scratch = &for_hidden;
    const std::int64_t hidden_rows = std::min(limits.hidden_rows, limits.step_rows);
    const TensorView hidden = for_hidden.allocate(DType::f32, {hidden_rows, model.info().hidden});
    model.forward_hidden(buffer.measure(limits.step_rows - decoding, decoding, hidden_rows), CacheView{layers}, hidden,
                         context);
    peak = std::max(peak, for_hidden.peak_bytes());
  }
  return static_cast<std::int64_t>(peak);
}

StepLimits step_limits(const TextModel& model, const RunnerLimits& limits) {
  return {limits.step_rows, limits.sequences, pages_of(limits.context_tokens),
          static_cast<int>(model.info().cache.groups.size())};
}

/// First row of `logits` with a value that is not finite, or -1.
std::int64_t first_bad_row(const TensorView& logits) {
  const Rows<const float> rows(logits);
  for (std::int64_t row = 0; row < logits.rows(); ++row) {
    if (!all_finite({rows[row], static_cast<std::size_t>(logits.columns())})) return row;
  }
  return -1;
}

/// Remembers the first module with an output that is not finite.
struct BrokenModule {
  std::string name;

  static void watch(void* user, std::string_view module, std::string_view part, const TensorView& value) {
    auto& broken = *static_cast<BrokenModule*>(user);
    if (!broken.name.empty() || value.dtype != DType::f32) return;
    if (first_bad_row(value) >= 0) broken.name = cat(module, part);
  }
};

}  // namespace

std::int64_t StepRunner::pages_per_sequence() const { return pages_of(limits_.context_tokens); }

RunnerMemory StepRunner::measure(const TextModel& model, const RunnerLimits& limits) {
  const std::int64_t pages = limits.pages > 0 ? limits.pages : limits.sequences * pages_of(limits.context_tokens);
  const std::unique_ptr<Device> host = make_null_device();
  auto buffer = StepBuffer::make(step_limits(model, limits), *host);
  RunnerMemory memory;
  memory.kv_bytes = pages * model.info().cache.bytes_per_page();
  if (buffer) memory.scratch_bytes = measure_scratch(model, *buffer, limits);
  return memory;
}

Result<StepRunner> StepRunner::make(const TextModel& model, Device& device, const RunnerLimits& limits) {
  StepRunner runner;
  runner.model_ = &model;
  runner.device_ = &device;
  runner.limits_ = limits;
  if (runner.limits_.pages == 0) runner.limits_.pages = limits.sequences * pages_of(limits.context_tokens);
  const CacheSpec& cache = model.info().cache;
  runner.memory_ = measure(model, limits);

  runner.layers_.resize(static_cast<std::size_t>(model.info().layers));
  runner.group_of_layer_.resize(static_cast<std::size_t>(model.info().layers));
  for (std::size_t g = 0; g < cache.groups.size(); ++g) {
    const CacheGroup& group = cache.groups[g];
    CORBEL_ASSIGN(DeviceMemory pool,
                  device.allocate(static_cast<std::size_t>(runner.limits_.pages * group.page_bytes())));
    for (std::size_t i = 0; i < group.layers.size(); ++i) {
      runner.group_of_layer_[group.layers[i]] = static_cast<int>(g);
      runner.layers_[group.layers[i]] = {
          pool.data() + static_cast<std::int64_t>(i) * group.page.page_bytes(), group.page_bytes(), {}};
    }
    CORBEL_ASSIGN(Prepared<KvCopy> copy, device.prepare<KvCopy>({group.page}));
    runner.copies_.push_back(std::move(copy));
    runner.pools_.push_back(std::move(pool));
  }
  CORBEL_ASSIGN(runner.scratch_memory_, device.allocate(static_cast<std::size_t>(runner.memory_.scratch_bytes)));
  CORBEL_ASSIGN(StepBuffer buffer, StepBuffer::make(step_limits(model, limits), device));
  runner.inputs_ = std::make_unique<StepBuffer>(std::move(buffer));
  return runner;
}

void StepRunner::commit_memory(std::chrono::steady_clock::time_point end) noexcept {
  constexpr std::size_t kMostBytes = std::size_t{256} << 20;  // what a pool of gigabytes has beyond may never be used
  ThreadPool* const pool = device_->pool();
  if (pool == nullptr) return;
  std::size_t left = kMostBytes;
  const auto commit = [&](const DeviceMemory& memory) {
    left -= commit_host_memory({memory.data(), std::min(left, memory.bytes())}, *pool, end);
  };
  commit(scratch_memory_);
  for (const DeviceMemory& pages : pools_) commit(pages);
}

void StepRunner::set_tap(TapFunction function, void* user) {
  tap_function_ = function;
  tap_user_ = user;
}

TensorView StepRunner::forward(const StepInputs& step, const std::atomic<bool>* cancel) {
  Arena arena(scratch_memory_.data(), scratch_memory_.bytes());
  RunContext context{
      .device = device_, .scratch = &arena, .cancel = cancel, .tap_function = tap_function_, .tap_user = tap_user_};
  if (last_output_ == Output::hidden) {
    const TensorView rows = arena.allocate(DType::f32, {step.logit_rows, model_->info().hidden});
    model_->forward_hidden(step, CacheView{layers_}, rows, context);
    return rows;
  }
  const TensorView logits = arena.allocate(DType::f32, {step.logit_rows, model_->info().vocab});
  model_->forward(step, CacheView{layers_}, logits, context);
  return logits;
}

Result<TensorView> StepRunner::run_unchecked(const StepPlan& plan, const std::atomic<bool>* cancel) {
  return run_for(Output::logits, plan, cancel);
}

Result<TensorView> StepRunner::run_hidden(const StepPlan& plan, const std::atomic<bool>* cancel) {
  CORBEL_CHECK(plan.logit_rows() <= limits_.hidden_rows, plan.logit_rows(), " hidden rows wanted, made for ",
               limits_.hidden_rows);
  return run_for(Output::hidden, plan, cancel);
}

Result<TensorView> StepRunner::run_for(Output output, const StepPlan& plan, const std::atomic<bool>* cancel) {
  last_output_ = output;
  last_step_ = inputs_->write(plan);
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].page_table = last_step_.page_tables[group_of_layer_[i]];

  const TensorView rows = forward(last_step_, cancel);
  if (auto finished = device_->finish(); !finished) return forward_failure(finished, "step");
  if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) {
    return fail(Code::cancelled, "the step was cancelled");
  }
  return rows;
}

void StepRunner::copy_page(int group, std::int32_t from, std::int32_t to) noexcept {
  RunContext context{.device = device_};
  const TensorView source = make_view(&from, {1});
  const TensorView destination = make_view(&to, {1});
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (group_of_layer_[i] == group) copies_[group]({layers_[i], source, destination}, context);
  }
}

std::string StepRunner::find_broken_module() {
  BrokenModule broken;
  TapFunction const watching = std::exchange(tap_function_, BrokenModule::watch);
  void* const user = std::exchange(tap_user_, &broken);
  forward(last_step_, nullptr);
  (void)device_->finish();
  set_tap(watching, user);
  if (!broken.name.empty()) return cat('"', broken.name, '"');
  return last_output_ == Output::hidden ? "the hidden states" : "the logits";
}

std::span<std::byte> StepRunner::page(int group, std::int32_t page) const {
  const std::int64_t bytes = model_->info().cache.groups[group].page_bytes();
  CORBEL_CHECK(page >= 0 && page < limits_.pages, "page ", page, " of ", limits_.pages);
  return {pools_[group].data() + page * bytes, static_cast<std::size_t>(bytes)};
}

Result<TensorView> StepRunner::run(const StepPlan& plan, const std::atomic<bool>* cancel) {
  CORBEL_ASSIGN(const TensorView logits, run_unchecked(plan, cancel));
  const std::int64_t bad = first_bad_row(logits);
  if (bad < 0) return logits;
  return fail(
      Code::device_failed,
      cat("NaN or infinity: ", find_broken_module(), " is the first module whose output is not finite (row ", bad,
          " of the step's logits); its weights or an op are broken. `corbel verify` compares every module"));
}

}  // namespace corbel
