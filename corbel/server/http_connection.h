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

/// Bytes of large bodies that are there at once, over all connections. One alone always has room.
class HttpBodies {
 public:
  /// False: there is no room. Any thread.
  bool take(std::int64_t bytes, std::int64_t most) {
    const std::int64_t before = bytes_.fetch_add(bytes);
    if (most == 0 || before == 0 || before + bytes <= most) return true;
    bytes_ -= bytes;
    return false;
  }
  void give_back(std::int64_t bytes) { bytes_ -= bytes; }

 private:
  std::atomic<std::int64_t> bytes_ = 0;
};

/// What all connections of a server know.
struct HttpConnections {
  HttpServerOptions options;
  HttpHandler handler;
  std::atomic<bool> draining = false;
  std::atomic<std::int64_t> busy = 0;
  std::atomic<std::int64_t> open = 0;
  HttpBodies bodies;
  /// Where handlers run: reading a request may take its time (a schema is compiled, say), and streams go on meanwhile.
  std::unique_ptr<boost::asio::thread_pool> workers;

  HttpResponse refusal(const HttpRequest& head, int status, std::string_view why) const {
    return options.refuse ? options.refuse(head, status, why) : http_error(status, why);
  }
};

/// Requests and answers until one side ends it.
boost::asio::awaitable<void> serve_http_connection(HttpConnections& all, boost::asio::ip::tcp::socket socket);

}  // namespace corbel
