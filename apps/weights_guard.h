#pragma once
#include <atomic>

namespace corbel::app {

/// From now on, a page of a mapped file that is no longer there (somebody has cut the file, or its disk fails) does not
/// kill the process: zeros stand in for it, weights_lost() is set, and SIGTERM is sent to the process, whose answers
/// are void from that moment on. Whoever delivers answers asks weights_lost() first.
void guard_weights();
const std::atomic<bool>& weights_lost();

}  // namespace corbel::app
