#include "corbel/server/http_connection.h"

#include <algorithm>
#include <array>
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/beast.hpp>
#include <cctype>
#include <optional>

#include "corbel/server/http_outgoing.h"
#include "corbel/server/http_rules.h"
#include "corbel/server/tls_stream.h"

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
using PlainStream = beast::tcp_stream;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

/// What an error of reading a request is answered with; 0: nothing, the connection ends.
int status_of(const error_code& failed) {
  if (failed == http::error::body_limit) return 413;
  if (failed == http::error::header_limit) return 431;
  if (failed == http::error::end_of_stream || failed == http::error::partial_message) return 0;
  return failed.category() == http::make_error_code(http::error::bad_method).category() ? 400 : 0;
}

constexpr int kBusy = 503;

std::string_view reason_of(int status) {
  switch (status) {
    case 408: return "the request did not come in in time";
    case 413: return "the body is too large";
    case 414: return "the path is too long";
    case 431: return "the headers are too large";
    case 501: return "of transfer codings only chunked is known";
    case kBusy: return "other large requests take the memory that there is for them; come back later";
    default: return "this is no HTTP request";
  }
}

// One function per kind of stream and no `if constexpr`: GCC 12 forgets what follows one in a coroutine.

awaitable<bool> shake_hands(PlainStream&) { co_return true; }

awaitable<bool> shake_hands(TlsStream& stream) {
  constexpr std::chrono::seconds kHandshake{10};
  stream.expires_after(kHandshake);
  const auto [failed] = co_await stream.async_handshake(kToTuple);
  co_return !failed;
}

awaitable<void> say_end(PlainStream&) { co_return; }
awaitable<void> say_end(TlsStream& stream) { co_await stream.async_say_end(kToTuple); }

/// Closes our side, then waits for the client's: closing with unread bytes would take the answer back that tells a
/// client why it was refused. Who is silent has a little time, who still sends a large body has more.
template <typename Stream>
awaitable<void> say_goodbye(Stream& stream) {
  constexpr std::chrono::seconds kSilence{2};
  constexpr std::chrono::seconds kGoodbye{30};
  const auto until = std::chrono::steady_clock::now() + kGoodbye;
  stream.expires_after(kSilence);
  co_await say_end(stream);
  error_code failed;
  stream.socket().shutdown(tcp::socket::shutdown_send, failed);
  std::array<char, 4096> rest{};
  while (!failed && std::chrono::steady_clock::now() < until) {
    stream.expires_after(kSilence);
    const auto [ended, bytes] = co_await stream.async_read_some(asio::buffer(rest), kToTuple);
    failed = ended;
  }
}

template <typename Stream>
class Connection {
 public:
  Connection(HttpConnections& all, Stream stream, std::string peer)
      : all_(all), stream_(std::move(stream)), peer_(std::move(peer)) {}

  awaitable<void> serve();

 private:
  using Parser = http::request_parser<http::string_body>;
  /// One request, answered; false when the connection is of no more use.
  awaitable<bool> take_request();
  awaitable<error_code> read_body(Parser& parser);
  /// Room for so many bytes of a body; null: there is none. Given back with the last who holds it.
  std::shared_ptr<void> room_for(std::uint64_t bytes);
  awaitable<bool> refuse(const HttpRequest& head, int status);
  awaitable<error_code> read_head(std::optional<Parser>& parser);
  HttpRequest head_of(const http::request<http::string_body>& message) const;
  /// Sends one answer; false when the connection is of no more use.
  awaitable<bool> answer(HttpOutgoing& outgoing, bool keep_alive);
  awaitable<bool> send_head(const HttpResponse& head, bool keep_alive, bool streams);
  awaitable<bool> send_pieces(HttpOutgoing& outgoing);
  awaitable<bool> wait(HttpOutgoing& outgoing);

  HttpConnections& all_;
  Stream stream_;
  std::string peer_;
  beast::flat_buffer buffer_;  // what has come in and is of no request yet
  unsigned version_ = 11;      // of the request at hand
  bool is_head_ = false;       // it asks for the head alone
  bool left_ = false;          // the client has closed its side
};

/// Waits for something to send, or for less. False when the client is gone. What it sends meanwhile is kept for later.
template <typename Stream>
awaitable<bool> Connection<Stream>::wait(HttpOutgoing& outgoing) {
  constexpr std::size_t kMostAhead = 64 << 10;
  outgoing.wake().expires_after(all_.options.ping_interval);
  if (buffer_.size() >= kMostAhead) {  // its end shows when we write
    co_await outgoing.wake().async_wait(kToTuple);
    co_return true;
  }
  // A group gives the results of both: a byte that comes at the moment of something to send is not lost.
  constexpr std::size_t kPiece = 512;
  auto read = [this, piece = buffer_.prepare(kPiece)](auto&& token) {
    return stream_.async_read_some(piece, std::forward<decltype(token)>(token));
  };
  const auto [order, woken, failed, bytes] =
      co_await asio::experimental::make_parallel_group(outgoing.wake().async_wait(asio::deferred), std::move(read))
          .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  buffer_.commit(bytes);
  left_ = failed && failed != asio::error::operation_aborted;
  co_return !left_;
}

template <typename Stream>
awaitable<bool> Connection<Stream>::send_head(const HttpResponse& head, bool keep_alive, bool streams) {
  http::response<http::string_body> response(static_cast<http::status>(head.status), version_);
  response.set(http::field::server, "corbel");
  response.set(http::field::date, http_date(std::chrono::system_clock::now()));
  if (!head.content_type.empty()) response.set(http::field::content_type, head.content_type);
  for (const auto& [name, value] : head.headers) response.set(name, value);
  response.keep_alive(keep_alive);
  stream_.expires_after(all_.options.write_timeout);
  constexpr int kNoContent = 204;  // has neither a body nor its length
  if (!streams && !is_head_) {
    response.body() = head.body;
    if (head.status != kNoContent) response.prepare_payload();
    const auto [failed, bytes] = co_await http::async_write(stream_, response, kToTuple);
    co_return !failed;
  }
  if (streams) {
    response.chunked(version_ >= 11);
  } else {
    response.content_length(head.body.size());
  }
  http::response_serializer<http::string_body> serializer(response);
  const auto [failed, bytes] = co_await http::async_write_header(stream_, serializer, kToTuple);
  co_return !failed;
}

template <typename Stream>
awaitable<bool> Connection<Stream>::send_pieces(HttpOutgoing& outgoing) {
  const bool chunked = version_ >= 11;
  auto last = std::chrono::steady_clock::now();
  while (true) {
    HttpOutgoing::Next next = outgoing.take();
    const bool quiet = std::chrono::steady_clock::now() - last >= all_.options.ping_interval;
    if (next.piece.empty() && !next.ended && quiet && outgoing.head().content_type == "text/event-stream")
      next.piece = ": ping\n\n";
    if (!next.piece.empty()) {
      last = std::chrono::steady_clock::now();
      stream_.expires_after(all_.options.write_timeout);
      error_code failed;
      std::size_t bytes = 0;
      if (chunked) {
        std::tie(failed, bytes) =
            co_await asio::async_write(stream_, http::make_chunk(asio::buffer(next.piece)), kToTuple);
      } else {
        std::tie(failed, bytes) = co_await asio::async_write(stream_, asio::buffer(next.piece), kToTuple);
      }
      if (failed) co_return false;
      continue;
    }
    if (next.ended) break;
    stream_.expires_never();
    if (!co_await wait(outgoing)) co_return false;
  }
  if (!chunked) co_return true;
  const auto [failed, bytes] = co_await asio::async_write(stream_, http::make_chunk_last(), kToTuple);
  co_return !failed;
}

/// An answer for which there is no memory: as little as can be said.
void give_up(HttpOutgoing& outgoing) noexcept {
  try {
    outgoing.respond({.status = kBusy});
  } catch (const std::bad_alloc&) {  // it waits until its client goes away
  }
}

template <typename Stream>
awaitable<bool> Connection<Stream>::answer(HttpOutgoing& outgoing, bool keep_alive) {
  stream_.expires_never();
  while (!outgoing.begun()) {
    if (!co_await wait(outgoing)) {
      outgoing.leave(false);
      co_return false;
    }
  }
  const bool streams = outgoing.streams();
  const bool stays = keep_alive && !all_.draining && (version_ >= 11 || !streams);
  bool sent = co_await send_head(outgoing.head(), stays, streams);
  if (sent && streams && !is_head_) sent = co_await send_pieces(outgoing);
  outgoing.leave(sent);
  co_return sent&& stays;
}

/// The rest of a request whose head is there. Answers 408 itself: the stream's own timer would close the socket.
template <typename Stream>
awaitable<error_code> Connection<Stream>::read_body(Parser& parser) {
  if (parser.is_done()) co_return error_code();
  stream_.expires_never();
  asio::steady_timer late(co_await asio::this_coro::executor, all_.options.receive_timeout);
  const auto first = co_await (http::async_read(stream_, buffer_, parser, kToTuple) || late.async_wait(kToTuple));
  if (first.index() == 1) co_return error_code(beast::error::timeout);
  co_return std::get<0>(std::get<0>(first));
}

template <typename Stream>
std::shared_ptr<void> Connection<Stream>::room_for(std::uint64_t bytes) {
  constexpr std::int64_t kSmall = 64 << 10;  // hold nobody up, and nobody holds them up
  const auto size = static_cast<std::int64_t>(bytes);
  if (size <= kSmall) return {&all_.bodies, [](HttpBodies*) {}};
  if (!all_.bodies.take(size, all_.options.max_bodies_bytes)) return nullptr;
  return {&all_.bodies, [size](HttpBodies* bodies) { bodies->give_back(size); }};
}

template <typename Stream>
awaitable<bool> Connection<Stream>::refuse(const HttpRequest& head, int status) {
  if (status == 0) co_return false;
  version_ = 11;
  is_head_ = head.method == "HEAD";
  HttpResponse refusal = all_.refusal(head, status, reason_of(status));
  if (status == kBusy) refusal.headers.emplace_back("retry-after", "1");
  co_await send_head(refusal, false, false);
  co_return false;
}

template <typename Stream>
HttpRequest Connection<Stream>::head_of(const http::request<http::string_body>& message) const {
  HttpRequest request{.method = std::string(message.method_string()), .peer = peer_};
  request.path = path_of_target({message.target().data(), message.target().size()});
  for (const auto& field : message)
    request.headers.emplace_back(lower(field.name_string()), std::string(field.value()));
  return request;
}

/// The head of the next request. An empty line ahead of it is passed over (RFC 9112 2.2).
template <typename Stream>
awaitable<error_code> Connection<Stream>::read_head(std::optional<Parser>& parser) {
  stream_.expires_after(all_.options.idle_timeout);
  error_code failed;
  for (int attempt = 0; attempt < 2; ++attempt) {
    parser.emplace();
    parser->header_limit(static_cast<std::uint32_t>(all_.options.max_header_bytes));
    parser->body_limit(all_.options.max_body_bytes);
    const auto [unread, bytes] = co_await http::async_read_header(stream_, buffer_, *parser, kToTuple);
    failed = unread;
    const std::string_view left(static_cast<const char*>(buffer_.data().data()), buffer_.size());
    if (!failed || !left.starts_with("\r\n") || !parser->get().target().empty()) break;
    buffer_.consume(2);
  }
  co_return failed;
}

template <typename Stream>
awaitable<bool> Connection<Stream>::take_request() {
  std::optional<Parser> parser;
  error_code failed = co_await read_head(parser);
  HttpRequest request = head_of(parser->get());
  if (failed == http::error::header_limit && request.path.empty()) co_return co_await refuse(request, 414);
  if (failed) co_return co_await refuse(request, status_of(failed));
  version_ = parser->get().version();
  if (const int refused = refused_head(request, version_); refused != 0) co_return co_await refuse(request, refused);
  // Larger ones are refused before they come in; what has no length is counted when it is there.
  std::shared_ptr<void> room;
  if (const auto length = parser->content_length(); length && *length > 0) {
    room = room_for(*length);
    if (!room) co_return co_await refuse(request, kBusy);
  }
  if (expects_continue(request, version_)) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    co_await http::async_write(stream_, go_on, kToTuple);
  }
  failed = co_await read_body(*parser);
  if (failed) co_return co_await refuse(request, failed == beast::error::timeout ? 408 : status_of(failed));
  is_head_ = parser->get().method() == http::verb::head;
  const bool keep_alive = parser->get().keep_alive();
  request.body = std::move(parser->get().body());
  if (!room && !request.body.empty()) {
    room = room_for(request.body.size());
    if (!room) co_return co_await refuse(request, kBusy);
  }
  parser.reset();  // a stream that goes on for long holds its request once
  const auto outgoing = std::make_shared<HttpOutgoing>(stream_.get_executor());
  const HttpCounted busy(all_.busy);
  // However this ends (memory may be short): who answers learns that nobody listens any more.
  const std::shared_ptr<void> leaving(nullptr, [outgoing](void*) { outgoing->leave(false); });
  auto handed_over = [&all = all_, given = std::make_shared<HttpRequest>(std::move(request)), outgoing,
                      room = std::move(room)] {
    try {
      all.handler(std::move(*given), outgoing);
    } catch (const std::bad_alloc&) {
      give_up(*outgoing);
    }
  };
  asio::post(*all_.workers, std::move(handed_over));
  co_return co_await answer(*outgoing, keep_alive);
}

template <typename Stream>
awaitable<void> Connection<Stream>::serve() {
  const bool trusted = co_await shake_hands(stream_);
  if (!trusted) co_return;
  while (!all_.draining) {
    if (!co_await take_request()) break;
    if (buffer_.size() == 0) buffer_.shrink_to_fit();  // an idle connection holds next to nothing
  }
  if (!left_) co_await say_goodbye(stream_);
}

/// Keeps the connection for as long as it is served.
template <typename Stream>
awaitable<void> run(std::unique_ptr<Connection<Stream>> connection) {
  co_await connection->serve();
}

}  // namespace

awaitable<void> serve_http_connection(HttpConnections& all, tcp::socket socket) {
  error_code failed;
  socket.set_option(tcp::no_delay(true), failed);
  std::string peer = socket.remote_endpoint(failed).address().to_string();
  if (!all.options.tls)
    return run(std::make_unique<Connection<PlainStream>>(all, PlainStream(std::move(socket)), std::move(peer)));
  TlsStream stream(std::move(socket), all.options.tls->context());
  return run(std::make_unique<Connection<TlsStream>>(all, std::move(stream), std::move(peer)));
}

}  // namespace corbel
