#include "apps/serve_front.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "apps/environment.h"
#include "apps/terminal.h"
#include "apps/weights_guard.h"
#include "corbel/base/mapped_file.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/server/access_log.h"

namespace corbel::app {
namespace {

sigset_t serve_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

/// Adds the lines of `text`, without those that are empty.
void add_keys(std::string_view text, ApiKeys& keys) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view key = text.substr(at, end - at);
    while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.remove_suffix(1);
    if (!key.empty()) keys.add(key);
    at = end + 1;
  }
}

/// Connections are files: as many of them as the system lets us have.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// A request that is read takes about ten times its body for a while: all of them together a third of the memory.
std::int64_t room_for_bodies() {
  constexpr std::int64_t kShare = 32;
  return std::max<std::int64_t>(available_memory().bytes() / kShare, 0);
}

/// Large blocks go back to the system when they are freed, whatever came before: by default malloc keeps ever larger
/// ones, and each thread its own.
void give_memory_back() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

}  // namespace

void hold_serve_signals() {
  const sigset_t set = serve_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Result<std::unique_ptr<LineFile>> LineFile::open(const std::string& path) {
  std::unique_ptr<LineFile> file(new LineFile(path));
  CORBEL_TRY(file->reopen());
  return file;
}

LineFile::~LineFile() {
  if (file_ > STDERR_FILENO) ::close(file_);
}

Result<void> LineFile::reopen() {
  const std::lock_guard lock(mutex_);
  if (path_ == "-") {
    file_ = STDERR_FILENO;
    return {};
  }
  constexpr mode_t kMode = 0640;
  const int opened = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kMode);
  if (opened < 0) return fail(Code::bad_file, cat("cannot open ", path_, ": ", std::strerror(errno)));
  if (file_ > STDERR_FILENO) ::close(file_);
  file_ = opened;
  return {};
}

void LineFile::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  while (!line.empty()) {  // a full disk loses lines, not requests
    const auto written = ::write(file_, line.data(), line.size());
    if (written <= 0 && errno != EINTR) return;
    line.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

Result<void> ServeFront::read_keys() {
  ApiKeys keys;
  if (!flags_.api_key_file.empty()) {
    CORBEL_ASSIGN(const std::string text, read_text_file(flags_.api_key_file, std::int64_t{1} << 20));
    add_keys(text, keys);
    if (keys.empty()) return fail(Code::bad_file, cat(flags_.api_key_file, " has no keys; expected one a line"));
  }
  add_keys(environment("CORBEL_API_KEY"), keys);
  gate_.set_keys(std::move(keys));
  return {};
}

Result<std::unique_ptr<ServeFront>> ServeFront::open(const ServeFlags& flags, Gate& gate, ServerMetrics& metrics) {
  std::unique_ptr<ServeFront> front(new ServeFront(flags, gate));
  CORBEL_TRY(front->read_keys());
  if (!flags.tls_cert.empty()) {
    CORBEL_ASSIGN(front->tls_, TlsIdentity::load(flags.tls_cert, flags.tls_key));
  }
  GateOptions options{.cors_origins = flags.cors_origins,
                      .max_json_depth = flags.max_json_depth,
                      .requests_per_minute = flags.requests_per_minute,
                      .limits = {.prompt_tokens = flags.max_prompt_tokens,
                                 .seconds = std::chrono::seconds(flags.max_seconds),
                                 .weights_lost = &weights_lost()}};
  if (!flags.access_log.empty()) {
    CORBEL_ASSIGN(front->log_, LineFile::open(flags.access_log));
  }
  options.log = [log = front->log_.get(), &metrics](const RequestSummary& summary) {
    metrics.note_response(summary.status);
    if (log != nullptr) log->write(access_log_line(summary));
  };
  gate.set(std::move(options));
  raise_file_limit();
  give_memory_back();
  guard_weights();
  return front;
}

HttpServerOptions ServeFront::http_options() const {
  using std::chrono::seconds;
  return {.host = flags_.host,
          .port = static_cast<std::uint16_t>(flags_.port),
          .max_header_bytes = static_cast<std::size_t>(flags_.max_header_bytes),
          .max_body_bytes = static_cast<std::size_t>(flags_.max_body_bytes),
          .max_bodies_bytes = room_for_bodies(),
          .max_connections = flags_.max_connections,
          .idle_timeout = seconds(flags_.idle_timeout),
          .receive_timeout = seconds(flags_.receive_timeout),
          .write_timeout = seconds(flags_.write_timeout),
          .ping_interval = seconds(flags_.ping_interval),
          .refuse = [gate = &gate_](const HttpRequest& head, int status,
                                    std::string_view why) { return gate->refuse(head, status, why); },
          .tls = tls_};
}

std::string ServeFront::url(std::uint16_t port) const {
  const bool is_six = flags_.host.find(':') != std::string::npos;
  return cat(tls_ ? "https" : "http", "://", is_six ? "[" : "", flags_.host, is_six ? "]" : "", ":", port);
}

void ServeFront::reload() {
  const auto tell = [](const Result<void>& done) {
    if (!done) print_error(cat(done.error().message, "; going on with what was there"));
  };
  tell(read_keys());
  if (tls_) tell(tls_->reload());
  if (log_) tell(log_->reopen());
  print_error_text("read keys and certificates again\n");
}

Result<void> ServeFront::wait_for_end() {
  const sigset_t set = serve_signals();
  constexpr timespec kLook{.tv_sec = 2};
  while (true) {
    const int signal = sigtimedwait(&set, nullptr, &kLook);
    if (weights_lost())
      return fail(Code::bad_file,
                  "the model's file was cut while it was served: answers under way were ended with an error. Replace "
                  "model files by renaming a new one over them, never in place");
    if (signal == SIGINT || signal == SIGTERM) return {};
    if (signal == SIGHUP) {
      reload();
    } else if (tls_) {
      const auto changed = tls_->reload_if_changed();
      if (!changed) print_error(cat(changed.error().message, "; going on with what was there"));
      if (changed && *changed) print_error_text("read the certificate again\n");
    }
  }
}

}  // namespace corbel::app
