#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "corbel/base/result.h"

namespace corbel {

/// Logical processors this process may use: the affinity mask, cut to the cgroup's CPU quota (rounded up), at least 1.
int usable_processors();

/// A fixed set of workers; the calling thread is one of them. Made once per engine and passed down; there is no global
/// pool. Work units are outputs, so who computes one never changes its bits. Workers spin briefly between jobs, then
/// sleep on a futex. One caller at a time.
class ThreadPool {
 public:
  /// threads >= 1, the caller included. `pin` binds worker i to the i-th usable processor.
  static Result<std::unique_ptr<ThreadPool>> make(int threads, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }

  /// Calls body(unit, worker) for every unit in [0, units), each once, and returns when all are done. worker is in [0,
  /// threads()). Each thread has a run of neighbouring units, which it takes in ascending order; who is through takes
  /// over from the others. Allocates nothing, takes no lock.
  template <typename Body>
  void parallel_for(std::int64_t units, Body&& body) noexcept {
    using Function = std::remove_reference_t<Body>;
    run(
        units, [](void* context, std::int64_t unit, int worker) { (*static_cast<Function*>(context))(unit, worker); },
        &body);
  }

 private:
  using UnitFunction = void (*)(void* context, std::int64_t unit, int worker);
  explicit ThreadPool(int threads);
  void run(std::int64_t units, UnitFunction function, void* context) noexcept;
  struct State;
  std::unique_ptr<State> state_;
  int threads_;
};

}  // namespace corbel
