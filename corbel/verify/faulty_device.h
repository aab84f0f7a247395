#pragma once
#include <functional>

#include "corbel/device/run_context.h"

namespace corbel {

/// A device that is another one, but for the entries of its table that somebody replaces: how a broken kernel is
/// simulated. Works on devices in host memory. The inner device must outlive it.
class FaultyDevice final : public Device {
 public:
  explicit FaultyDevice(Device& inner);

  Result<DeviceMemory> allocate(std::size_t bytes) override { return inner_.allocate(bytes); }
  Result<void> finish() override {
    const auto finished = inner_.finish();
    return finished && on_finish_ ? on_finish_() : finished;
  }

  const Device& inner() const { return inner_; }
  /// What head norms span; how a fault tells them from norms of whole rows. 0: not known.
  std::int64_t head_dim() const { return head_dim_; }
  void set_head_dim(std::int64_t head_dim) { head_dim_ = head_dim; }

  /// Asked at the end of every step: how a device that fails is simulated.
  void set_on_finish(std::function<Result<void>()> on_finish) { on_finish_ = std::move(on_finish); }

  /// Hands the op another spec than the model asked for.
  template <typename Op, void (*kChange)(typename Op::Spec&)>
  void change_spec() {
    table_.template entry<Op>().prepare = [](const typename Op::Spec& spec, const Device& device) {
      typename Op::Spec changed = spec;
      kChange(changed);
      return inner_of(device).prepare<Op>(changed);
    };
  }

  /// Runs `kBroken` in place of the op; it gets the true op, ready to be called. `kBroken` may allocate: a fault is no
  /// hot path.
  template <typename Op,
            void (*kBroken)(const Prepared<Op>& truth, const typename Op::Args& args, RunContext& context) noexcept>
  void replace_run() {
    table_.template entry<Op>().prepare = [](const typename Op::Spec& spec, const Device& device) {
      return wrap<Op, kBroken>(spec, device);
    };
  }

  /// The same where only some specs are broken.
  template <typename Op, bool (*kConcerns)(const typename Op::Spec&, const FaultyDevice&),
            void (*kBroken)(const Prepared<Op>& truth, const typename Op::Args& args, RunContext& context) noexcept>
  void replace_run_where() {
    table_.template entry<Op>().prepare = [](const typename Op::Spec& spec, const Device& device) {
      const auto& self = static_cast<const FaultyDevice&>(device);
      return kConcerns(spec, self) ? wrap<Op, kBroken>(spec, device) : self.inner_.prepare<Op>(spec);
    };
  }

 private:
  static const Device& inner_of(const Device& device) { return static_cast<const FaultyDevice&>(device).inner_; }

  template <typename Op,
            void (*kBroken)(const Prepared<Op>& truth, const typename Op::Args& args, RunContext& context) noexcept>
  static Result<Prepared<Op>> wrap(const typename Op::Spec& spec, const Device& device) {
    CORBEL_ASSIGN(Prepared<Op> truth, inner_of(device).prepare<Op>(spec));
    const auto run = [](const Prepared<Op>& self, const typename Op::Args& args, RunContext& context) noexcept {
      kBroken(*static_cast<const Prepared<Op>*>(self.state()), args, context);
    };
    return Prepared<Op>(spec, run, std::make_shared<const Prepared<Op>>(std::move(truth)));
  }

  Device& inner_;
  std::int64_t head_dim_ = 0;
  std::function<Result<void>()> on_finish_;
};

}  // namespace corbel
