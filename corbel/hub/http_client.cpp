#include "corbel/hub/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <mutex>

#include "corbel/base/cat.h"
#include "corbel/base/check.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// What libcurl's callbacks see of an exchange.
struct Running {
  const HttpSink& sink;
  HttpHead head;
  bool begun = false;
  bool declined = false;
  bool cancelled = false;

  bool begin() {
    if (begun) return !declined;
    begun = true;
    declined = !sink.begin(head);
    return !declined;
  }
  /// Read and forgotten, a body that nobody wants keeps the connection.
  bool is_short() const {
    constexpr std::size_t kDigits = 5;
    const std::string_view length = head.header("content-length");
    return !length.empty() && length.size() < kDigits;
  }
};

std::size_t take_header(char* text, std::size_t one, std::size_t count, void* user) {
  auto& head = static_cast<Running*>(user)->head;
  std::string_view line(text, one * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // also after "100 Continue"
    head = {};
    const std::size_t space = line.find(' ');
    if (space != line.npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), head.status);
    return one * count;
  }
  constexpr std::size_t kMost = 200;
  const std::size_t colon = line.find(':');
  if (colon == line.npos || head.headers.size() >= kMost) return one * count;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  line.remove_prefix(std::min(line.find_first_not_of(" \t", colon + 1), line.size()));
  head.headers.emplace_back(std::move(name), std::string(line));
  return one * count;
}

std::size_t take_body(char* bytes, std::size_t one, std::size_t count, void* user) {
  auto& running = *static_cast<Running*>(user);
  if (!running.begin()) return running.is_short() ? one * count : 0;
  running.declined = !running.sink.add(std::as_bytes(std::span(bytes, one * count)));
  return running.declined ? 0 : one * count;
}

int look_up(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& running = *static_cast<Running*>(user);
  running.cancelled = running.sink.cancelled();
  return running.cancelled ? 1 : 0;
}

/// Codes after which another try makes no sense.
bool is_final(CURLcode code) {
  constexpr CURLcode kFinal[] = {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT,     CURLE_PEER_FAILED_VERIFICATION,
                                 CURLE_SSL_CACERT_BADFILE,   CURLE_SSL_ISSUER_ERROR,  CURLE_OUT_OF_MEMORY,
                                 CURLE_SSL_ENGINE_NOTFOUND,  CURLE_TOO_MANY_REDIRECTS};
  return std::ranges::find(kFinal, code) != std::end(kFinal);
}

struct FreeUrl {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

std::string part(CURLU* url, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, what, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool is_http(CURLU* url) {
  const std::string scheme = part(url, CURLUPART_SCHEME);
  return scheme == "http" || scheme == "https";
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

struct HttpClient::State {
  CURL* handle = nullptr;
  HttpTimes times;
  std::string user_agent;

  State(HttpTimes chosen, std::string agent) : times(chosen), user_agent(std::move(agent)) {
    static std::once_flag once;  // libcurl's own state, for the process
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle = curl_easy_init();
    CORBEL_CHECK(handle != nullptr, "libcurl gives no handle");
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { curl_easy_cleanup(handle); }

  void prepare(const HttpExchange& exchange, curl_slist* headers, Running& running, char* reason) const {
    curl_easy_reset(handle);  // keeps the connection
    curl_easy_setopt(handle, CURLOPT_URL, exchange.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_USERAGENT, user_agent.c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_NOBODY, exchange.head_only ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);  // several threads
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(times.connect.count()));
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(times.stall.count()));
    curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 262'144L);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &running);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &running);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &running);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
  }
};

HttpClient::HttpClient(HttpTimes times, std::string user_agent)
    : state_(std::make_unique<State>(times, std::move(user_agent))) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

HttpEnd HttpClient::get(const HttpExchange& exchange, const HttpSink& sink) {
  curl_slist* headers = nullptr;
  for (const std::string& line : exchange.headers) headers = curl_slist_append(headers, line.c_str());
  Running running{sink};
  char reason[CURL_ERROR_SIZE] = "";
  state_->prepare(exchange, headers, running, reason);
  const CURLcode code = curl_easy_perform(state_->handle);
  curl_slist_free_all(headers);
  // An empty body comes with no call.
  if (code == CURLE_OK) running.begin();
  HttpEnd end;
  end.head = std::move(running.head);
  end.reason = clip(reason[0] != '\0' ? reason : curl_easy_strerror(code));
  if (running.cancelled) {
    end.kind = HttpEnd::Kind::cancelled;
  } else if (running.declined) {
    end.kind = HttpEnd::Kind::declined;
  } else if (code != CURLE_OK) {
    end.kind = is_final(code) ? HttpEnd::Kind::failed : HttpEnd::Kind::cut;
  }
  return end;
}

std::string resolve_url(const std::string& base, const std::string& reference) {
  const Url url(curl_url());
  if (!base.empty() && curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) return {};
  if (curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK || !is_http(url.get())) return {};
  return part(url.get(), CURLUPART_URL);
}

std::string url_origin(const std::string& text) {
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK || !is_http(url.get())) return {};
  return cat(part(url.get(), CURLUPART_SCHEME), "://", part(url.get(), CURLUPART_HOST), ":",
             part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::string url_encode(std::string_view text, Slashes slashes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~";
  std::string out;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != kPlain.npos || (c == '/' && slashes == Slashes::keep)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

}  // namespace corbel
