#include "corbel/server/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/beast.hpp>
#include <cerrno>
#include <deque>
#include <mutex>
#include <thread>

namespace corbel {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace): a || of awaitables

constexpr auto kToTuple = asio::as_tuple(asio::use_awaitable);

/// What an endpoint has said and the connection has not yet sent. The endpoint's side is locked, the connection's side
/// waits on a timer that is cancelled when there is something new.
class Outgoing final : public Responder, public std::enable_shared_from_this<Outgoing> {
 public:
  explicit Outgoing(const asio::any_io_executor& executor) : wake_(executor, asio::steady_timer::time_point::max()) {}

  void respond(HttpResponse response) override {
    const std::lock_guard lock(mutex_);
    if (begun_ || gone_) return;
    head_ = std::move(response);
    begun_ = ended_ = true;
    notify();
  }
  void begin(HttpResponse head) override {
    const std::lock_guard lock(mutex_);
    if (begun_ || gone_) return;
    head_ = std::move(head);
    begun_ = streams_ = true;
    notify();
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    if (ended_ || gone_ || piece.empty()) return;
    pending_ += piece;
    notify();
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    if (ended_ || gone_) return;
    ended_ = true;
    notify();
  }
  void on_gone(std::function<void()> gone) override {
    {
      const std::lock_guard lock(mutex_);
      if (!gone_) {
        on_gone_ = std::move(gone);
        return;
      }
    }
    gone();
  }

  // The connection's side.
  bool begun() {
    const std::lock_guard lock(mutex_);
    return begun_;
  }
  bool streams() const { return streams_; }  // once it has begun
  struct Next {
    bool ended = false;
    std::string piece;
  };
  Next take() {
    const std::lock_guard lock(mutex_);
    return {ended_, std::exchange(pending_, {})};
  }
  HttpResponse& head() { return head_; }
  asio::steady_timer& wake() { return wake_; }
  void leave() {
    std::function<void()> gone;
    {
      const std::lock_guard lock(mutex_);
      if (gone_ || (ended_ && pending_.empty())) return;
      gone_ = true;
      gone = std::move(on_gone_);
    }
    if (gone) gone();
  }

 private:
  void notify() {
    asio::post(wake_.get_executor(), [self = shared_from_this()] { self->wake_.cancel(); });
  }
  std::mutex mutex_;
  asio::steady_timer wake_;
  HttpResponse head_;
  std::string pending_;
  bool begun_ = false, ended_ = false, streams_ = false, gone_ = false;
  std::function<void()> on_gone_;
};

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

HttpResponse refusal(int status, std::string_view message) {
  return {.status = status,
          .body = cat(R"({"error": {"message": ")", message,
                      R"(", "type": "invalid_request_error", "param": null, "code": null}})")};
}

}  // namespace

struct HttpServer::State {
  State(const HttpServerOptions& wanted, HttpHandler handle)
      : options(wanted), handler(std::move(handle)), acceptor(io) {}

  awaitable<void> accept();
  awaitable<void> serve(tcp::socket socket);
  /// Sends one answer; false when the connection is of no more use.
  awaitable<bool> answer(beast::tcp_stream& stream, std::shared_ptr<Outgoing> outgoing, unsigned version,
                         bool keep_alive);
  awaitable<bool> send_stream(beast::tcp_stream& stream, Outgoing& outgoing, bool chunked);
  awaitable<bool> wait(beast::tcp_stream& stream, Outgoing& outgoing);
  awaitable<bool> send_head(beast::tcp_stream& stream, const HttpResponse& head, unsigned version, bool keep_alive,
                            bool streams);

  HttpServerOptions options;
  HttpHandler handler;
  asio::io_context io;
  tcp::acceptor acceptor;
  std::atomic<bool> draining = false;
  std::atomic<std::int64_t> busy = 0;
};

awaitable<void> HttpServer::State::accept() {
  while (acceptor.is_open()) {
    auto [failed, socket] = co_await acceptor.async_accept(asio::make_strand(io), kToTuple);
    if (failed == asio::error::operation_aborted) co_return;
    if (failed) {  // out of file descriptors, most likely: later
      asio::steady_timer later(io, std::chrono::milliseconds(50));
      co_await later.async_wait(kToTuple);
      continue;
    }
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
  }
}

/// Has the client closed its side, or reset the connection? `waits`: it has sent what was not read yet.
bool is_gone(tcp::socket& socket, bool& waits) {
  char byte = 0;
  const auto peeked = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  waits = peeked > 0;
  return peeked == 0 || (peeked < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/// Waits for something to send, or for less. False when the client is gone. What the client sends meanwhile stays where
/// it is.
awaitable<bool> HttpServer::State::wait(beast::tcp_stream& stream, Outgoing& outgoing) {
  tcp::socket& socket = stream.socket();
  outgoing.wake().expires_after(options.ping_interval);
  bool waits = false;
  if (is_gone(socket, waits)) co_return false;
  if (waits) {  // a pipelined request: the socket stays readable, its end shows when we write
    co_await outgoing.wake().async_wait(kToTuple);
    co_return true;
  }
  const auto first =
      co_await (outgoing.wake().async_wait(kToTuple) || socket.async_wait(tcp::socket::wait_read, kToTuple));
  // Readiness may be told late, of bytes that were read long ago: only the socket itself knows.
  co_return first.index() == 0 || !is_gone(socket, waits);
}

awaitable<bool> HttpServer::State::send_head(beast::tcp_stream& stream, const HttpResponse& head, unsigned version,
                                             bool keep_alive, bool streams) {
  http::response<http::string_body> response(static_cast<http::status>(head.status), version);
  response.set(http::field::server, "corbel");
  response.set(http::field::content_type, head.content_type);
  for (const auto& [name, value] : head.headers) response.set(name, value);
  response.keep_alive(keep_alive);
  stream.expires_after(options.write_timeout);
  if (!streams) {
    response.body() = head.body;
    response.prepare_payload();
    const auto [failed, bytes] = co_await http::async_write(stream, response, kToTuple);
    co_return !failed;
  }
  response.chunked(version >= 11);
  http::response_serializer<http::string_body> serializer(response);
  const auto [failed, bytes] = co_await http::async_write_header(stream, serializer, kToTuple);
  co_return !failed;
}

awaitable<bool> HttpServer::State::send_stream(beast::tcp_stream& stream, Outgoing& outgoing, bool chunked) {
  auto last = std::chrono::steady_clock::now();
  while (true) {
    Outgoing::Next next = outgoing.take();
    const bool quiet = std::chrono::steady_clock::now() - last >= options.ping_interval;
    if (next.piece.empty() && !next.ended && quiet && outgoing.head().content_type == "text/event-stream")
      next.piece = ": ping\n\n";
    if (!next.piece.empty()) {
      last = std::chrono::steady_clock::now();
      stream.expires_after(options.write_timeout);
      error_code failed;
      std::size_t bytes = 0;
      if (chunked) {
        std::tie(failed, bytes) =
            co_await asio::async_write(stream, http::make_chunk(asio::buffer(next.piece)), kToTuple);
      } else {
        std::tie(failed, bytes) = co_await asio::async_write(stream, asio::buffer(next.piece), kToTuple);
      }
      if (failed) co_return false;
      continue;
    }
    if (next.ended) break;
    stream.expires_never();
    if (!co_await wait(stream, outgoing)) co_return false;
  }
  if (!chunked) co_return true;
  const auto [failed, bytes] = co_await asio::async_write(stream, http::make_chunk_last(), kToTuple);
  co_return !failed;
}

awaitable<bool> HttpServer::State::answer(beast::tcp_stream& stream, std::shared_ptr<Outgoing> outgoing,
                                          unsigned version, bool keep_alive) {
  stream.expires_never();
  while (!outgoing->begun()) {
    if (!co_await wait(stream, *outgoing)) co_return false;
  }
  const bool streams = outgoing->streams();
  const bool stays = keep_alive && !draining && (version >= 11 || !streams);
  if (!co_await send_head(stream, outgoing->head(), version, stays, streams)) co_return false;
  if (!streams) co_return stays;
  co_return co_await send_stream(stream, *outgoing, version >= 11) && stays;
}

awaitable<void> HttpServer::State::serve(tcp::socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  while (!draining) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options.max_header_bytes));
    parser.body_limit(options.max_body_bytes);
    stream.expires_after(options.idle_timeout);
    auto [failed, bytes] = co_await http::async_read_header(stream, buffer, parser, kToTuple);
    if (!failed && parser.get()[http::field::expect] == "100-continue") {
      http::response<http::empty_body> go_on(http::status::continue_, 11);
      co_await http::async_write(stream, go_on, kToTuple);
    }
    if (!failed) std::tie(failed, bytes) = co_await http::async_read(stream, buffer, parser, kToTuple);
    if (failed) {
      int status = 0;
      if (failed == http::error::body_limit)
        status = 413;
      else if (failed == http::error::header_limit)
        status = 431;
      else if (failed.category() == http::make_error_code(http::error::bad_method).category() &&
               failed != http::error::end_of_stream && failed != http::error::partial_message)
        status = 400;
      if (status != 0) {
        const char* const why = status == 413   ? "the body is too large"
                                : status == 431 ? "the headers are too large"
                                                : "this is no HTTP request";
        co_await send_head(stream, refusal(status, why), 11, false, false);
      }
      break;
    }
    auto message = parser.release();
    HttpRequest request{.method = std::string(message.method_string())};
    const std::string_view target(message.target().data(), message.target().size());
    request.path = std::string(target.substr(0, target.find('?')));
    for (const auto& field : message)
      request.headers.emplace_back(lower(field.name_string()), std::string(field.value()));
    request.body = std::move(message.body());
    const auto outgoing = std::make_shared<Outgoing>(stream.get_executor());
    ++busy;
    handler(std::move(request), outgoing);
    const bool stays = co_await answer(stream, outgoing, message.version(), message.keep_alive());
    outgoing->leave();
    --busy;
    if (!stays) break;
  }
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const HttpServerOptions& options, HttpHandler handler) {
  auto state = std::make_unique<State>(options, std::move(handler));
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
  asio::co_spawn(state->io, state->accept(), asio::detached);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

std::uint16_t HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }
std::int64_t HttpServer::busy() const { return state_->busy; }

void HttpServer::run() {
  std::vector<std::thread> threads;
  for (int i = 1; i < state_->options.threads; ++i) threads.emplace_back([this] { state_->io.run(); });
  state_->io.run();
  for (std::thread& thread : threads) thread.join();
}

void HttpServer::drain() {
  state_->draining = true;
  asio::post(state_->io, [this] {
    error_code ignored;
    state_->acceptor.close(ignored);
  });
}

void HttpServer::stop() { state_->io.stop(); }

}  // namespace corbel
