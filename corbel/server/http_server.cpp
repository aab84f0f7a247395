#include "corbel/server/http_server.h"

#include <boost/asio.hpp>
#include <new>
#include <thread>
#include <vector>

#include "corbel/server/http_connection.h"

namespace corbel {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kToTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

struct HttpServer::State : HttpConnections {
  State(HttpServerOptions wanted, HttpHandler handle) : acceptor(asio::make_strand(io)) {
    options = std::move(wanted);
    handler = std::move(handle);
  }

  awaitable<void> accept();
  awaitable<void> serve(tcp::socket socket);
  void turn_away(tcp::socket socket) const;
  void run();

  asio::io_context io;
  tcp::acceptor acceptor;  // has a strand: it is closed while another thread may be accepting
};

awaitable<void> HttpServer::State::serve(tcp::socket socket) {
  const HttpCounted counted(open);
  co_await serve_http_connection(*this, std::move(socket));
}

/// One connection too many. Nothing is waited for: what does not go out at once is lost.
void HttpServer::State::turn_away(tcp::socket socket) const {
  error_code failed;
  socket.non_blocking(true, failed);
  if (options.tls) return;
  const HttpResponse response = refusal({}, 503, "too many connections are open; come back later");
  std::string text = "HTTP/1.1 503 Service Unavailable\r\nserver: corbel\r\nconnection: close\r\nretry-after: 1\r\n";
  text += cat("content-type: ", response.content_type, "\r\ncontent-length: ", response.body.size(), "\r\n");
  for (const auto& [name, value] : response.headers) text += cat(name, ": ", value, "\r\n");
  text += cat("\r\n", response.body);
  socket.send(asio::buffer(text), 0, failed);
  socket.shutdown(tcp::socket::shutdown_send, failed);
}

awaitable<void> HttpServer::State::accept() {
  while (acceptor.is_open()) {
    try {
      auto [failed, socket] = co_await acceptor.async_accept(asio::make_strand(io), kToTuple);
      if (failed == asio::error::operation_aborted) co_return;
      if (failed) {  // out of file descriptors, most likely: later
        asio::steady_timer later(io, std::chrono::milliseconds(50));
        co_await later.async_wait(kToTuple);
        continue;
      }
      if (open >= options.max_connections) {
        turn_away(std::move(socket));
        continue;
      }
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
    } catch (const std::bad_alloc&) {  // this connection is lost, the next one may find memory
      std::this_thread::yield();
    }
  }
}

/// What a connection that finds no memory throws ends there, not here; but what fails while its frame is taken down
/// comes out of run(), which goes on where it was when it is called again.
void HttpServer::State::run() {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception&) {
      std::this_thread::yield();
    }
  }
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::listen(HttpServerOptions wanted, HttpHandler handler) {
  auto state = std::make_unique<State>(std::move(wanted), std::move(handler));
  const HttpServerOptions& options = state->options;
  error_code failed;
  const asio::ip::address address = asio::ip::make_address(options.host, failed);
  if (failed)
    return fail(Code::bad_request,
                cat("--host ", options.host, " is no address; expected 127.0.0.1, 0.0.0.0, ::1, ..."));
  const tcp::endpoint endpoint(address, options.port);
  state->acceptor.open(endpoint.protocol(), failed);
  if (!failed) state->acceptor.set_option(tcp::acceptor::reuse_address(true), failed);
  if (!failed) state->acceptor.bind(endpoint, failed);
  if (!failed) state->acceptor.listen(asio::socket_base::max_listen_connections, failed);
  if (failed)
    return fail(Code::bad_request, cat("cannot listen on ", options.host, " port ", options.port, ": ",
                                       failed.message(), ". Give another one with --port"));
  asio::co_spawn(state->acceptor.get_executor(), state->accept(), asio::detached);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

std::uint16_t HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }
std::int64_t HttpServer::busy() const { return state_->busy; }

void HttpServer::run() {
  state_->workers = std::make_unique<asio::thread_pool>(static_cast<std::size_t>(state_->options.workers));
  std::vector<std::thread> threads;
  for (int i = 1; i < state_->options.threads; ++i) threads.emplace_back([this] { state_->run(); });
  state_->run();
  for (std::thread& thread : threads) thread.join();
  state_->workers->stop();
  state_->workers->join();
}

void HttpServer::drain() {
  state_->draining = true;
  asio::post(state_->acceptor.get_executor(), [this] {
    error_code ignored;
    state_->acceptor.close(ignored);
  });
}

void HttpServer::stop() { state_->io.stop(); }

}  // namespace corbel
