#include "corbel/base/thread_pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <system_error>
#include <thread>
#include <vector>

namespace corbel {
namespace {

// Longer than the serial parts between two jobs of a step, shorter than a scheduler's time slice by far.
constexpr std::int64_t kSpinNanoseconds = 50'000;
constexpr int kSpinsPerClockReading = 64;

void pause_processor() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

/// Spins until `done()`; false when it took too long.
template <typename Condition>
bool spin_until(Condition&& done) noexcept {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::nanoseconds(kSpinNanoseconds);
  do {
    for (int spin = 0; spin < kSpinsPerClockReading; ++spin) {
      if (done()) return true;
      pause_processor();
    }
  } while (Clock::now() < deadline);
  return done();
}

/// Binds a thread to the index-th processor of the mask it was started with.
void pin_thread(pthread_t thread, int index) noexcept {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &mask) || index-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    pthread_setaffinity_np(thread, sizeof one, &one);  // failing only costs speed
    return;
  }
}

}  // namespace

/// A job is open from the store of `open` = 1 to that of 0. A worker enters by raising `inside` and then looking at
/// `open`; the caller closes and then looks at `inside`. All four are sequentially consistent, so a worker either sees
/// the job closed or is seen inside, and nobody waits for a worker that slept through a job.
struct ThreadPool::State {
  /// A run of neighbouring units that one thread begins with.
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
  };

  alignas(64) std::atomic<std::uint32_t> job{0};  // counts jobs; workers sleep on it
  std::atomic<std::uint32_t> sleepers{0};
  std::atomic<std::uint32_t> open{0};
  std::atomic<std::uint32_t> stopping{0};
  UnitFunction function = nullptr;  // these and the shares change only while no worker is inside
  void* context = nullptr;
  std::vector<Share> shares;
  alignas(64) std::atomic<std::uint32_t> inside{0};  // workers in the open job; the caller sleeps on it
  std::atomic<std::uint32_t> caller_sleeps{0};
  std::vector<std::thread> workers;

  /// Its own share first: neighbouring units are neighbours in memory, and nobody else touches the counter. Then what
  /// the others have left.
  void work(int worker) noexcept {
    const UnitFunction call = function;
    void* const body = context;
    const std::size_t count = shares.size();
    for (std::size_t i = 0; i < count; ++i) {
      Share& share = shares[(static_cast<std::size_t>(worker) + i) % count];
      const std::int64_t end = share.end;
      if (share.next.load(std::memory_order_relaxed) >= end) continue;
      for (std::int64_t unit = share.next.fetch_add(1, std::memory_order_relaxed); unit < end;
           unit = share.next.fetch_add(1, std::memory_order_relaxed)) {
        call(body, unit, worker);
      }
    }
  }

  void leave() noexcept {
    if (inside.fetch_sub(1) == 1 && caller_sleeps.load() != 0) futex_wake_all(inside);
  }

  void worker_loop(int worker) noexcept {
    std::uint32_t seen = 0;
    while (true) {
      const auto has_news = [&] { return job.load(std::memory_order_acquire) != seen; };
      if (!spin_until(has_news)) {
        sleepers.fetch_add(1);
        while (!has_news()) futex_wait(job, seen);
        sleepers.fetch_sub(1);
      }
      if (stopping.load() != 0) return;
      seen = job.load(std::memory_order_acquire);
      inside.fetch_add(1);
      if (open.load() != 0) work(worker);
      leave();
    }
  }

  void announce() noexcept {
    job.fetch_add(1);
    if (sleepers.load() > 0) futex_wake_all(job);
  }

  void wait_for_workers() noexcept {
    if (spin_until([&] { return inside.load() == 0; })) return;
    caller_sleeps.store(1);
    for (std::uint32_t left = inside.load(); left != 0; left = inside.load()) futex_wait(inside, left);
    caller_sleeps.store(0);
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()), threads_(threads) {}

Result<std::unique_ptr<ThreadPool>> ThreadPool::make(int threads, bool pin) {
  constexpr int kMostThreads = 1024;
  if (threads < 1 || threads > kMostThreads)
    return fail(Code::bad_request, cat("threads is ", threads, "; it must be between 1 and ", kMostThreads));
  std::unique_ptr<ThreadPool> pool(new ThreadPool(threads));
  State* const state = pool->state_.get();
  state->shares = std::vector<State::Share>(static_cast<std::size_t>(threads));
  try {
    state->workers.reserve(static_cast<std::size_t>(threads) - 1);
    for (int worker = 1; worker < threads; ++worker) {
      state->workers.emplace_back([state, worker] { state->worker_loop(worker); });
      if (pin) pin_thread(state->workers.back().native_handle(), worker);
    }
  } catch (const std::system_error& error) {
    return fail(Code::no_memory, cat("cannot start thread ", state->workers.size() + 2, " of ", threads, ": ",
                                     error.what(), ". Run with fewer threads"));
  }
  if (pin) pin_thread(pthread_self(), 0);
  return pool;
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(1);
  state_->announce();
  for (std::thread& worker : state_->workers) worker.join();
}

void ThreadPool::run(std::int64_t units, UnitFunction function, void* context) noexcept {
  if (units <= 0) return;
  if (threads_ == 1 || units == 1) {
    for (std::int64_t unit = 0; unit < units; ++unit) function(context, unit, 0);
    return;
  }
  State& state = *state_;
  state.function = function;
  state.context = context;
  for (int worker = 0; worker < threads_; ++worker) {
    State::Share& share = state.shares[static_cast<std::size_t>(worker)];
    share.next.store(units * worker / threads_, std::memory_order_relaxed);
    share.end = units * (worker + 1) / threads_;
  }
  state.open.store(1);
  state.announce();
  state.work(0);
  state.open.store(0);
  state.wait_for_workers();
}

}  // namespace corbel
