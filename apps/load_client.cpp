#include "apps/load_client.h"

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "corbel/base/json.h"

namespace corbel::app {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto kToTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;  // of one answer

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// What a piece of an answer says: a text, or the usage, or neither.
struct PieceReader {
  LoadOutcome& outcome;
  std::int64_t pieces = 0;
  bool done = false;

  void take(const Json& json, double now) {
    if (json.contains("error")) outcome.failure = "error event";
    if (const auto usage = json.find("usage"); usage != json.end() && usage->is_object()) {
      outcome.prompt_tokens = usage->value("prompt_tokens", std::int64_t{0});
      outcome.answer_tokens = usage->value("completion_tokens", std::int64_t{0});
    }
    if (!has_text(json)) return;
    if (pieces++ == 0)
      outcome.first = now;
    else
      outcome.gaps.push_back(now - outcome.last);
    outcome.last = now;
  }

 private:
  static bool is_text(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && ((found->is_string() && !found->get_ref<const std::string&>().empty()) ||
                                     (found->is_array() && !found->empty()));
  }
  static bool has_text(const Json& json) {
    const auto choices = json.find("choices");
    if (choices == json.end() || !choices->is_array()) return false;
    return std::ranges::any_of(*choices, [](const Json& choice) {
      if (is_text(choice, "text")) return true;
      const auto delta = choice.find("delta");
      if (delta == choice.end() || !delta->is_object()) return false;
      return is_text(*delta, "content") || is_text(*delta, "reasoning_content") || is_text(*delta, "reasoning") ||
             is_text(*delta, "tool_calls");
    });
  }
};

/// Lines of an event stream as they come.
class EventReader {
 public:
  explicit EventReader(PieceReader& pieces) : pieces_(pieces) {}

  void take(std::string_view bytes, double now) {
    buffer_ += bytes;
    std::size_t at = 0;
    for (std::size_t end = 0; (end = buffer_.find('\n', at)) != std::string::npos; at = end + 1) {
      std::string_view line(buffer_.data() + at, end - at);
      if (line.ends_with('\r')) line.remove_suffix(1);
      take_line(line, now);
    }
    buffer_.erase(0, at);
  }

 private:
  void take_line(std::string_view line, double now) {
    constexpr std::string_view kData = "data:";
    if (!line.starts_with(kData)) return;
    line.remove_prefix(kData.size());
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (line == "[DONE]") {
      pieces_.done = true;
      return;
    }
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object())
      pieces_.take(json, now);
    else
      pieces_.outcome.failure = "broken event";
  }

  PieceReader& pieces_;
  std::string buffer_;
};

http::request<http::string_body> make_request(const LoadTarget& target, const std::string& path,
                                              const std::string& body) {
  http::request<http::string_body> request(body.empty() ? http::verb::get : http::verb::post, target.prefix + path, 11);
  request.set(http::field::host, target.host + ":" + target.port);
  request.set(http::field::user_agent, "corbel-bench");
  if (!target.key.empty()) request.set(http::field::authorization, "Bearer " + target.key);
  if (!body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.prepare_payload();
  return request;
}

std::string kind_of(const error_code& failed, std::string_view when) {
  if (failed == beast::error::timeout) return "timeout";
  return cat(when, ": ", failed.message());
}

/// One connection, kept for the next request as long as the server keeps it.
class Line {
 public:
  Line(asio::any_io_executor executor, const LoadTarget& target, tcp::resolver::results_type places)
      : target_(target), places_(std::move(places)), executor_(std::move(executor)) {}

  awaitable<void> ask(const LoadRun& run, const std::string& body, Clock::time_point begin, LoadOutcome& outcome) {
    const bool kept = stream_.has_value();
    bool silent = co_await attempt(run, body, begin, outcome);
    if (kept && silent && !outcome.failure.empty()) {  // a server may close a connection that rests: once more
      outcome.failure.clear();
      stream_.reset();
      co_await attempt(run, body, begin, outcome);
    }
    outcome.end = seconds_since(begin);
    if (!outcome.failure.empty()) stream_.reset();
  }
  std::string last_body;  // of a whole answer
  int last_status = 0;

 private:
  /// True when nothing of an answer has come.
  awaitable<bool> attempt(const LoadRun& run, const std::string& body, Clock::time_point begin, LoadOutcome& outcome) {
    const auto limit = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(run.timeout_seconds));
    if (!stream_) {
      stream_.emplace(executor_);
      buffer_.clear();
      stream_->expires_after(limit);
      const auto [failed, place] = co_await stream_->async_connect(places_, kToTuple);
      if (failed) {
        outcome.failure = kind_of(failed, "connect");
        co_return true;
      }
      error_code ignored;
      std::ignore = stream_->socket().set_option(tcp::no_delay(true), ignored);
    }
    stream_->expires_after(limit);
    const auto request = make_request(target_, run.path, body);
    const auto [unsent, sent] = co_await http::async_write(*stream_, request, kToTuple);
    if (unsent) {
      outcome.failure = kind_of(unsent, "send");
      co_return true;
    }
    co_return co_await read(begin, outcome);
  }

  awaitable<bool> read(Clock::time_point begin, LoadOutcome& outcome) {
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(kMostBytes);
    const auto [headless, bytes] = co_await http::async_read_header(*stream_, buffer_, parser, kToTuple);
    if (headless) {
      outcome.failure = kind_of(headless, "receive");
      co_return true;
    }
    last_status = parser.get().result_int();
    const beast::string_view kind = parser.get()[http::field::content_type];
    const bool is_stream = kind.substr(0, 17) == "text/event-stream";
    PieceReader pieces{outcome};
    EventReader events(pieces);
    last_body.clear();
    std::array<char, 16384> space{};
    while (!parser.is_done()) {
      parser.get().body().data = space.data();
      parser.get().body().size = space.size();
      auto [failed, count] = co_await http::async_read_some(*stream_, buffer_, parser, kToTuple);
      if (failed == http::error::need_buffer) failed = {};
      const std::string_view got(space.data(), space.size() - parser.get().body().size);
      if (is_stream)
        events.take(got, seconds_since(begin));
      else
        last_body += got;
      if (failed) {
        outcome.failure = kind_of(failed, "receive");
        co_return false;
      }
    }
    if (!parser.keep_alive()) stream_.reset();
    finish(is_stream, pieces, seconds_since(begin));
    co_return false;
  }

  void finish(bool is_stream, PieceReader& pieces, double now) const {
    LoadOutcome& outcome = pieces.outcome;
    if (last_status != 200) {
      outcome.failure = cat("status ", last_status);
    } else if (is_stream) {
      if (outcome.failure.empty() && !pieces.done) outcome.failure = "stream cut off";
      if (outcome.answer_tokens == 0) outcome.answer_tokens = pieces.pieces;  // a server that tells no usage
    } else {
      const Json json = Json::parse(last_body, nullptr, false);
      if (json.is_object()) pieces.take(json, now);
      outcome.first = outcome.last = now;
    }
  }

  const LoadTarget& target_;
  tcp::resolver::results_type places_;
  asio::any_io_executor executor_;
  std::optional<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
};

Result<tcp::resolver::results_type> resolve(asio::io_context& io, const LoadTarget& target) {
  error_code failed;
  tcp::resolver resolver(io);
  auto places = resolver.resolve(target.host, target.port, failed);
  if (failed) return fail(Code::bad_request, cat("cannot find ", target.host, ": ", failed.message()));
  return places;
}

/// What all senders of one run share. One thread.
struct Sending {
  const LoadTarget& target;
  const LoadRun& run;
  const std::function<bool()>& stop;
  tcp::resolver::results_type places;
  Clock::time_point begin = Clock::now();
  std::size_t next = 0;
  LoadResult result;

  /// Takes request after request; as many of these run as there may be requests under way.
  awaitable<void> send() {
    const auto executor = co_await asio::this_coro::executor;
    Line line(executor, target, places);
    asio::steady_timer timer(executor);
    while (next < run.requests.size() && !stop()) {
      const LoadRequest& request = run.requests[next++];
      const double wait = request.at_seconds - seconds_since(begin);
      if (wait > 0.0) {
        timer.expires_after(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait)));
        co_await timer.async_wait(kToTuple);
      }
      LoadOutcome outcome;
      outcome.sent = seconds_since(begin);
      outcome.due = request.at_seconds > 0.0 ? request.at_seconds : outcome.sent;
      co_await line.ask(run, request.body, begin, outcome);
      run.on_end(outcome);
      result.outcomes.push_back(std::move(outcome));
    }
  }
};

}  // namespace

Result<LoadTarget> read_load_target(const std::string& url, const std::string& key) {
  constexpr std::string_view kScheme = "http://";
  const auto refuse = [&](std::string_view why) {
    return fail(Code::bad_request,
                cat("\"", url, "\" ", why, "; expected http://HOST:PORT, e.g. http://127.0.0.1:8000"));
  };
  if (url.starts_with("https://")) return refuse("asks for TLS, which is not spoken here");
  if (!url.starts_with(kScheme)) return refuse("is no URL");
  LoadTarget target{.key = key};
  const std::string rest = url.substr(kScheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string place = rest.substr(0, slash);
  target.prefix = rest.substr(slash);
  while (target.prefix.ends_with('/')) target.prefix.pop_back();
  if (target.prefix.ends_with("/v1")) target.prefix.resize(target.prefix.size() - 3);
  const std::size_t bracket = place.rfind(']');  // of an IPv6 address
  const std::size_t colon = place.find(':', bracket == std::string::npos ? 0 : bracket);
  target.port = colon == std::string::npos ? "80" : place.substr(colon + 1);
  target.host = place.substr(0, colon);
  if (target.host.starts_with('[') && target.host.ends_with(']'))
    target.host = target.host.substr(1, target.host.size() - 2);
  const bool digits =
      !target.port.empty() && std::ranges::all_of(target.port, [](char c) { return c >= '0' && c <= '9'; });
  if (target.host.empty() || !digits) return refuse("has no host and port");
  return target;
}

Result<LoadReply> ask_server(const LoadTarget& target, const std::string& path, const std::string& body,
                             double timeout_seconds) {
  asio::io_context io(1);
  CORBEL_ASSIGN(tcp::resolver::results_type places, resolve(io, target));
  const LoadRun run{.path = path, .streams = false, .timeout_seconds = timeout_seconds};
  LoadOutcome outcome;
  LoadReply reply;
  asio::co_spawn(
      io,
      [&]() -> awaitable<void> {
        Line line(co_await asio::this_coro::executor, target, places);
        co_await line.ask(run, body, Clock::now(), outcome);
        reply = {line.last_status, line.last_body};
      },
      asio::detached);
  io.run();
  if (reply.status == 0)
    return fail(Code::bad_request, cat("no answer from ", target.host, " port ", target.port, ": ", outcome.failure));
  return reply;
}

LoadResult run_load(const LoadTarget& target, const LoadRun& run, const std::function<bool()>& stop) {
  asio::io_context io(1);
  auto places = resolve(io, target);
  if (!places) return {};
  Sending sending{.target = target, .run = run, .stop = stop, .places = *std::move(places)};
  const auto senders = std::min<std::int64_t>(run.at_once, std::ssize(run.requests));
  for (std::int64_t i = 0; i < senders; ++i) asio::co_spawn(io, sending.send(), asio::detached);
  io.run();
  sending.result.seconds = seconds_since(sending.begin);
  return std::move(sending.result);
}

}  // namespace corbel::app
