#include "apps/weights_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace corbel::app {
namespace {

std::atomic<bool> lost = false;
static_assert(std::atomic<bool>::is_always_lock_free);

/// Calls only what may be called in a handler: mmap and kill are system calls.
void on_bus_error(int signal, siginfo_t* info, void*) {
  constexpr std::uintptr_t kPage = 4096;
  const auto page = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(kPage - 1);
  const bool stands_in =
      info->si_code == BUS_ADRERR && ::mmap(reinterpret_cast<void*>(page), kPage, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
  if (!stands_in) {  // something else: as if nobody had been here
    std::signal(signal, SIG_DFL);
    return;  // happens again
  }
  if (!lost.exchange(true)) ::kill(::getpid(), SIGTERM);
}

}  // namespace

void guard_weights() {
  struct sigaction action{};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

const std::atomic<bool>& weights_lost() { return lost; }

}  // namespace corbel::app
