#include "apps/terminal.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "apps/command.h"
#include "corbel/base/log.h"

namespace corbel::app {
namespace {

std::atomic<bool> interrupt_seen = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

extern "C" void on_interrupt(int) {
  if (interrupt_seen.exchange(true)) _exit(kInterrupted);
}

void write_log(LogLevel level, std::string_view line, void* user) {
  if (level < *static_cast<const LogLevel*>(user)) return;
  print_error_text(cat(log_level_name(level), ": ", line, "\n"));
}

}  // namespace

bool print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return true;
  if (errno != EPIPE) print_error(cat("cannot write to standard output: ", std::strerror(errno)));
  return false;
}

void print_error_text(std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); }

void print_error(std::string_view message) { print_error_text(cat("corbel: ", message, "\n")); }

int report(const Error& error) {
  print_error(error.message);
  return kFailed;
}

bool output_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool errors_are_terminal() { return isatty(STDERR_FILENO) == 1; }
bool input_is_terminal() { return isatty(STDIN_FILENO) == 1; }

void install_log() {
  static LogLevel least = LogLevel::warning;
  const char* wanted = std::getenv("CORBEL_LOG");
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error}) {
    if (wanted != nullptr && log_level_name(level) == wanted) least = level;
  }
  set_log_sink(write_log, &least);
}

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: waiting for a line ends, too
  sigaction(SIGINT, &action, nullptr);
}

const std::atomic<bool>& interrupted() { return interrupt_seen; }
void clear_interrupt() { interrupt_seen = false; }

std::int64_t peak_memory_bytes() {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  char line[256];
  std::int64_t kilobytes = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, "VmHWM:", 6) == 0) kilobytes = std::strtoll(line + 6, nullptr, 10);
  }
  std::fclose(file);
  return kilobytes * 1024;
}

}  // namespace corbel::app
