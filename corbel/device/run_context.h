#pragma once
#include <atomic>
#include <string_view>

#include "corbel/device/device.h"
#include "corbel/tensor/arena.h"

namespace corbel {

/// Sees block outputs under the name of the Hugging Face module they mirror: "model.layers.3.self_attn" + ".q_proj".
/// The view is valid only during the call.
using TapFunction = void (*)(void* user, std::string_view module, std::string_view part, const TensorView& value);

/// What everything that runs gets as its last argument. One per running step; owns nothing.
struct RunContext {
  Device* device = nullptr;
  Arena* scratch = nullptr;
  const std::atomic<bool>* cancel = nullptr;
  TapFunction tap_function = nullptr;
  void* tap_user = nullptr;

  /// Shows a value to whoever watches; one branch when nobody does. On a device that runs asynchronously a tap waits
  /// for it first.
  void tap(std::string_view module, std::string_view part, const TensorView& value) noexcept {
    if (tap_function != nullptr) [[unlikely]]
      tap_function(tap_user, module, part, value);
  }
  bool cancelled() const noexcept { return cancel != nullptr && cancel->load(std::memory_order_relaxed); }
  TensorView allocate(DType dtype, const Shape& shape) noexcept { return scratch->allocate(dtype, shape); }
};

template <typename Op>
void Prepared<Op>::operator()(const typename Op::Args& args, RunContext& context) const noexcept {
  if (context.scratch != nullptr && context.scratch->measuring()) return;
  run_(*this, args, context);
}

}  // namespace corbel
