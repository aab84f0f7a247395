#pragma once
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>

#include "corbel/server/http_server.h"

/// One connection of an HTTP server; http_server.cpp alone includes it.
namespace corbel {

/// Counts while it lives, however it ends.
class HttpCounted {
 public:
  explicit HttpCounted(std::atomic<std::int64_t>& count) : count_(count) { ++count_; }
  HttpCounted(const HttpCounted&) = delete;
  HttpCounted& operator=(const HttpCounted&) = delete;
  ~HttpCounted() { --count_; }

 private:
  std::atomic<std::int64_t>& count_;
};

/// What all connections of a server know.
struct HttpConnections {
  HttpServerOptions options;
  HttpHandler handler;
  std::atomic<bool> draining = false;
  std::atomic<std::int64_t> busy = 0;
  std::atomic<std::int64_t> open = 0;
  /// Where handlers run: reading a request may take its time (a schema is compiled, say), and streams go on meanwhile.
  std::unique_ptr<boost::asio::thread_pool> workers;

  HttpResponse refusal(int status, std::string_view why) const {
    return options.refuse ? options.refuse(status, why) : http_error(status, why);
  }
};

/// Requests and answers until one side ends it.
boost::asio::awaitable<void> serve_http_connection(HttpConnections& all, boost::asio::ip::tcp::socket socket);

}  // namespace corbel
