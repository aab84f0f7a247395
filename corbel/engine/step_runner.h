#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/device/run_context.h"
#include "corbel/model/step_plan.h"
#include "corbel/model/text_model.h"

/// Many sequences on one model: pages, steps, sampling, delivery.
namespace corbel {

struct RunnerLimits {
  std::int64_t step_rows = 512;  // rows of one step, prefill and decode together
  std::int64_t logit_rows = 1;   // rows of one step whose logits may be wanted
  std::int64_t hidden_rows = 0;  // rows of one step whose hidden states may be wanted
  std::int64_t sequences = 1;
  std::int64_t context_tokens = 2048;  // of one sequence
  std::int64_t pages = 0;              // of the pool, per cache group; 0: enough for all sequences at full context
};

/// Bytes that running takes, before anything is allocated.
struct RunnerMemory {
  std::int64_t kv_bytes = 0;
  std::int64_t scratch_bytes = 0;  // activations, logits and step inputs
};

/// Owns the memory of a running model (cache pages, scratch, step inputs, logits) and runs plans on it. Everything is
/// allocated by make(); run() allocates nothing. One thread at a time. The model and the device outlive it.
class StepRunner {
 public:
  static RunnerMemory measure(const TextModel& model, const RunnerLimits& limits);
  static Result<StepRunner> make(const TextModel& model, Device& device, const RunnerLimits& limits);

  /// Commits scratch and the first cache pages to be handed out, up to 256 MB, and begins nothing after `end`: for who
  /// is made before it is needed. Otherwise the first steps wait for that memory.
  void commit_memory(std::chrono::steady_clock::time_point end) noexcept;

  /// Runs the plan to its end and waits. Logits f32 [logit_rows, vocab], valid until the next run. A device's error,
  /// a cancelled step and NaN or Inf in the wanted logits are refused (which row, and the first module whose output
  /// is not finite: the step is run once more to find it).
  Result<TensorView> run(const StepPlan& plan, const std::atomic<bool>* cancel = nullptr);

  /// As run(), with logits as they are: who has many sequences in a step looks at each one's row.
  Result<TensorView> run_unchecked(const StepPlan& plan, const std::atomic<bool>* cancel = nullptr);
  /// The wanted rows' hidden states after the final norm in place of logits: f32 [logit_rows, hidden], as they are,
  /// valid until the next run. At most limits().hidden_rows rows may be wanted.
  Result<TensorView> run_hidden(const StepPlan& plan, const std::atomic<bool>* cancel = nullptr);
  /// The first module whose output has a value that is not finite when the last plan is run once more; "the logits" or
  /// "the hidden states" when no module has one. Changes nothing: the same cache entries are written again.
  std::string find_broken_module();

  /// Makes page `to` of a cache group equal to page `from`, in the order of the runs around it.
  void copy_page(int group, std::int32_t from, std::int32_t to) noexcept;

  /// Watches block outputs of later runs; null stops watching.
  void set_tap(TapFunction function, void* user);

  const RunnerLimits& limits() const { return limits_; }
  const RunnerMemory& memory() const { return memory_; }
  const TextModel& model() const { return *model_; }
  const DeviceInfo& device() const { return device_->info(); }
  std::int64_t pages_per_sequence() const;
  /// Layer's cache, for export and copies; the page table is that of the last plan.
  const KvLayer& layer(int index) const { return layers_[index]; }
  /// One page of a cache group, all its layers: [layers, page_bytes], opaque. Valid between runs, to be kept in a file
  /// and put back into any page of the group.
  std::span<std::byte> page(int group, std::int32_t page) const;

 private:
  StepRunner() = default;
  enum class Output : std::uint8_t { logits, hidden };
  TensorView forward(const StepInputs& step, const std::atomic<bool>* cancel);
  Result<TensorView> run_for(Output output, const StepPlan& plan, const std::atomic<bool>* cancel);
  const TextModel* model_ = nullptr;
  Device* device_ = nullptr;
  RunnerLimits limits_;
  RunnerMemory memory_;
  std::vector<DeviceMemory> pools_;  // per cache group: [pages, layers, page_bytes]
  std::vector<int> group_of_layer_;
  std::vector<KvLayer> layers_;
  std::vector<Prepared<KvCopy>> copies_;  // per cache group
  DeviceMemory scratch_memory_;
  std::unique_ptr<StepBuffer> inputs_;
  StepInputs last_step_;
  Output last_output_ = Output::logits;
  TapFunction tap_function_ = nullptr;
  void* tap_user_ = nullptr;
};

}  // namespace corbel
