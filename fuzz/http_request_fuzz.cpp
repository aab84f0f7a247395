#include <sys/socket.h>

#include <boost/asio.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "corbel/server/endpoints.h"
#include "corbel/server/http_connection.h"

namespace {

using namespace corbel;
namespace asio = boost::asio;
using asio::ip::tcp;

/// A server whose model does not open: everything up to there is real.
struct Server {
  ModelShelf models{{{"model",
                      {},
                      0,
                      []() -> Result<std::unique_ptr<OpenedModel>> { return fail(Code::bad_file, "there is none"); }}},
                    0};
  ServerState state;
  std::atomic<int> under_way = 0;  // requests that handlers have and that have not ended
  Server() {
    ApiKeys keys;
    keys.add("k");
    state.gate.set_keys(std::move(keys));
    GateOptions options{.cors_origins = {"https://a"}, .requests_per_minute = 1'000'000};
    options.log = [this](const RequestSummary& summary) {
      --under_way;
      if (summary.status == 0 && !summary.client_left) std::abort();  // every request has an end
    };
    state.gate.set(std::move(options));
    state.models = &models;
    state.ready = true;
  }
};

asio::awaitable<void> read_all(tcp::socket& client, std::string& text) {
  char piece[4096];
  while (true) {
    const auto [failed, bytes] =
        co_await client.async_read_some(asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
    if (failed) co_return;
    text.append(piece, bytes);
  }
}

}  // namespace

// Bytes of a client, over a pair of sockets, through the connection, the gate and the routes. Whatever they are, what
// comes back begins like HTTP, and has a number.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Server server;
  constexpr std::size_t kMost = 32 << 10;  // fits a socket's buffer: writing does not wait
  if (size > kMost) return 0;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) std::abort();
  static asio::io_context io;  // answers that come late still know it
  HttpConnections all;
  all.options.max_body_bytes = 4096;
  all.options.max_header_bytes = 2048;
  all.options.refuse = [](const HttpRequest& head, int status, std::string_view why) {
    ++server.under_way;
    return server.state.gate.refuse(head, status, why);
  };
  all.handler = [](HttpRequest request, std::shared_ptr<Responder> responder) {
    ++server.under_way;
    handle_request(server.state, std::move(request), std::move(responder));
  };
  all.workers = std::make_unique<asio::thread_pool>(1);
  std::string answers;
  {
    tcp::socket client(io, tcp::v4(), pair[0]);
    tcp::socket peer(io, tcp::v4(), pair[1]);
    if (::send(pair[0], data, size, 0) != static_cast<ssize_t>(size)) std::abort();
    asio::co_spawn(io, serve_http_connection(all, std::move(peer)), asio::detached);
    asio::co_spawn(io, read_all(client, answers), asio::detached);
    // The client's end comes when all that it asked for was answered: before, its requests would be cancelled.
    for (int quiet = 0; quiet < 3;) {
      const bool idle = io.poll() == 0 && server.under_way == 0;
      quiet = idle ? quiet + 1 : 0;
      io.restart();
      std::this_thread::yield();
    }
    ::shutdown(pair[0], SHUT_WR);
    io.run();
    io.restart();
  }
  all.workers->join();
  if (answers.empty()) return 0;
  if (!answers.starts_with("HTTP/1.")) std::abort();
  const std::string_view head = std::string_view(answers).substr(0, answers.find("\r\n\r\n"));
  if (!head.starts_with("HTTP/1.1 100") && head.find("\r\nx-request-id: ") == std::string_view::npos) std::abort();
  return 0;
}
