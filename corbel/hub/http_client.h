#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corbel {

/// One exchange, without redirects, retries or judgement of the status: HubClient has these.
struct HttpExchange {
  std::string url;
  std::vector<std::string> headers;  // "name: value"
  bool head_only = false;
};

/// What came before the body.
struct HttpHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string_view header(std::string_view name) const;      // the first; empty when there is none
};

/// Where a body goes.
struct HttpSink {
  std::function<bool(const HttpHead& head)> begin;            // false: the body is not wanted
  std::function<bool(std::span<const std::byte> bytes)> add;  // false: no more of it
  std::function<bool()> cancelled = [] { return false; };     // asked often
};

/// How an exchange ended.
struct HttpEnd {
  enum class Kind {
    complete,
    declined,  // by the sink
    cancelled,
    cut,     // may go well another time: no connection, too slow, broken off; `reason` says which
    failed,  // will not: a certificate, an address that is none
  } kind = Kind::complete;
  std::string reason;
  HttpHead head;  // status 0 when none came
};

struct HttpTimes {
  std::chrono::milliseconds connect{10'000};
  std::chrono::seconds stall{30};  // without a byte
};

/// HTTP and HTTPS, one exchange after the other, over one connection where the other side keeps it. Certificates are
/// checked. One thread.
class HttpClient {
 public:
  HttpClient(HttpTimes times, std::string user_agent);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();
  HttpEnd get(const HttpExchange& exchange, const HttpSink& sink);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `reference` (absolute or relative) as seen from `base`; empty when that is no HTTP address.
std::string resolve_url(const std::string& base, const std::string& reference);
/// "https://host:443": what must be equal for a secret to be sent. Empty when `url` is no HTTP address.
std::string url_origin(const std::string& url);
/// A part of a path or query as addresses spell it; '/' stays when `keep_slashes`.
enum class Slashes { keep, encode };
std::string url_encode(std::string_view text, Slashes slashes);

}  // namespace corbel
