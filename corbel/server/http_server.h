#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "corbel/base/result.h"
#include "corbel/server/http_message.h"
#include "corbel/server/tls.h"

namespace corbel {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;  // 0: any that is free
  int threads = 2;            // that send and receive
  int workers = 4;            // that handlers run on
  std::size_t max_header_bytes = std::size_t{64} << 10;
  std::size_t max_body_bytes = std::size_t{32} << 20;
  std::int64_t max_bodies_bytes = 0;         // of large requests, read or handled; one more gets 503; 0: any
  std::int64_t max_connections = 4096;       // one more is answered with 503
  std::chrono::seconds idle_timeout{75};     // of a connection between requests
  std::chrono::seconds receive_timeout{75};  // of a request's head, and again of its body: 408
  std::chrono::seconds write_timeout{60};    // of a client that does not read
  std::chrono::seconds ping_interval{15};    // a comment in event streams that have nothing to say
  HttpRefusal refuse;                        // what is said to what never became a request; empty: http_error()
  std::shared_ptr<TlsIdentity> tls;          // null: plain HTTP
};

/// HTTP/1.1 (and 1.0) over TCP or TLS: keep-alive, chunked event streams, limits on sizes, times, connections. Requests
/// go to the handler on the server's threads. What is no HTTP is answered with 400, what is too large with 413 or 431,
/// what is too slow with 408.
class HttpServer {
 public:
  /// Binds and listens; nothing is served, and no thread is made, before run(). Refused: a port that is taken, an
  /// address that is not there.
  static Result<std::unique_ptr<HttpServer>> listen(HttpServerOptions options, HttpHandler handler);
  ~HttpServer();

  std::uint16_t port() const;
  /// Serves until stop(). Call it once.
  void run();
  /// No new connections, and those that wait for a request are closed; those with an answer under way go on. Any
  /// thread.
  void drain();
  /// Connections whose answer is under way.
  std::int64_t busy() const;
  /// Ends run(). Any thread, also a signal's.
  void stop();

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace corbel
