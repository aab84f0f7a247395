#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "apps/serve_flags.h"
#include "corbel/server/gate.h"
#include "corbel/server/http_server.h"

namespace corbel::app {

/// A file that lines are appended to; opened again when it was moved away. Any thread.
class LineFile {
 public:
  /// "-": standard error.
  static Result<std::unique_ptr<LineFile>> open(const std::string& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;
  void write(std::string_view line);
  Result<void> reopen();

 private:
  explicit LineFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::mutex mutex_;
  int file_ = -1;
};

/// What stands between the network and the endpoints: keys, limits, TLS, the access log.
class ServeFront {
 public:
  /// Reads the files that the flags name, and tells the gate. Outlives all requests.
  static Result<std::unique_ptr<ServeFront>> open(const ServeFlags& flags, Gate& gate, ServerMetrics& metrics);

  HttpServerOptions http_options() const;
  /// "http://127.0.0.1:8000"
  std::string url(std::uint16_t port) const;
  /// Until SIGINT or SIGTERM, or until the model's file was cut. SIGHUP, or a changed certificate, is followed on the
  /// way. Refused: what ended it was no signal.
  Result<void> wait_for_end();

 private:
  ServeFront(const ServeFlags& flags, Gate& gate) : flags_(flags), gate_(gate) {}
  Result<void> read_keys();
  void reload();

  const ServeFlags& flags_;
  Gate& gate_;
  std::shared_ptr<TlsIdentity> tls_;
  std::unique_ptr<LineFile> log_;
};

/// Signals that serving waits for; call it before any thread is made, which inherit that.
void hold_serve_signals();

}  // namespace corbel::app
