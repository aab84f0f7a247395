#pragma once
#include <span>

#include "corbel/blocks/weights.h"
#include "corbel/ops/step_inputs.h"

namespace corbel {

/// What a default ImplConfig is chosen for.
enum class Strategy { balanced, performance, accuracy, memory };

/// "balanced", "performance", "accuracy", "memory".
std::string_view strategy_name(Strategy strategy);

/// Which of the two position-mixing calls a configuration is for. Fields that move bits are the same for both.
enum class Mode { prefill, decode };

/// The layers of one model's caches during a step; made by who owns the pages.
struct CacheView {
  std::span<const KvLayer> layers;
};

}  // namespace corbel
