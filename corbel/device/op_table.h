#pragma once
#include <memory>
#include <tuple>

#include "corbel/base/result.h"
#include "corbel/ops/all_ops.h"

/// Devices: a table of prepare/run pairs, one per op, and what a run needs (threads, scratch, taps). The reference
/// device is an empty table; the null device a table of nothing-done; real ones live behind closed doors in
/// corbel/device/NAME.
namespace corbel {

class Device;
struct RunContext;

/// An op made ready for one shape on one device: kernel chosen, scratch known. Copies share their state. Calling it
/// cannot fail.
template <typename Op>
class Prepared {
 public:
  using RunFunction = void (*)(const Prepared& self, const typename Op::Args& args, RunContext& context) noexcept;

  Prepared() = default;
  Prepared(typename Op::Spec spec, RunFunction run, std::shared_ptr<const void> state = nullptr)
      : spec_(std::move(spec)), run_(run), state_(std::move(state)) {}

  bool ready() const noexcept { return run_ != nullptr; }
  const typename Op::Spec& spec() const noexcept { return spec_; }
  /// What the device's prepare left for its run; null if nothing.
  const void* state() const noexcept { return state_.get(); }
  /// Runs; on a measuring arena nothing runs (run_context.h).
  void operator()(const typename Op::Args& args, RunContext& context) const noexcept;

 private:
  typename Op::Spec spec_{};
  RunFunction run_ = nullptr;
  std::shared_ptr<const void> state_;
};

/// One op of one device. An absent entry (prepare is null) means: this device does not have it.
template <typename Op>
struct OpEntry {
  Result<Prepared<Op>> (*prepare)(const typename Op::Spec& spec, const Device& device) = nullptr;
};

template <typename List>
struct OpTableOf;
template <typename... Ops>
struct OpTableOf<OpList<Ops...>> {
  std::tuple<OpEntry<Ops>...> entries;
};

/// Every op's entry; a device starts from an empty one and fills what it has.
struct OpTable : OpTableOf<AllOps> {
  template <typename Op>
  OpEntry<Op>& entry() noexcept {
    return std::get<OpEntry<Op>>(entries);
  }
  template <typename Op>
  const OpEntry<Op>& entry() const noexcept {
    return std::get<OpEntry<Op>>(entries);
  }
};

/// Calls visit.template operator()<Op>() for every op.
template <typename Visitor, typename... Ops>
void for_each_op(OpList<Ops...>, Visitor&& visit) {
  (visit.template operator()<Ops>(), ...);
}
template <typename Visitor>
void for_each_op(Visitor&& visit) {
  for_each_op(AllOps{}, std::forward<Visitor>(visit));
}

}  // namespace corbel
