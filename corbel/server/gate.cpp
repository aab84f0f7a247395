#include "corbel/server/gate.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <mutex>
#include <optional>
#include <random>

#include "corbel/server/message_errors.h"

namespace corbel {
namespace {

/// What a client's going away means: noted, and told to the endpoint that wants to know while it answers. A connection
/// may outlive the model that answered.
struct Departure {
  std::shared_ptr<RequestRecord> record;
  std::mutex mutex;
  bool is_gone = false;
  bool is_answered = false;
  std::function<void()> told;

  void happen() {
    record->note_gone();
    std::function<void()> gone;
    {
      const std::lock_guard lock(mutex);
      is_gone = true;
      gone = std::move(told);
    }
    if (gone) gone();
  }
  void note_answered() {
    std::function<void()> dropped;
    const std::lock_guard lock(mutex);
    is_answered = true;
    dropped.swap(told);
  }
  /// `gone` is called once: later, or now; or never, when there is an answer.
  void tell(std::function<void()> gone) {
    {
      const std::lock_guard lock(mutex);
      if (is_answered) return;
      if (!is_gone) {
        told = std::move(gone);
        return;
      }
    }
    gone();
  }
};

/// Puts headers into every answer's head, and notes what became of the request.
class NotingResponder final : public Responder {
 public:
  NotingResponder(std::shared_ptr<Responder> inner, const std::shared_ptr<RequestRecord>& record, HttpHeaders headers)
      : inner_(std::move(inner)),
        record_(record),
        headers_(std::move(headers)),
        departure_(std::make_shared<Departure>(record)) {
    inner_->on_gone([departure = departure_] { departure->happen(); });
  }
  void respond(HttpResponse response) override {
    if (record_->is_void() && response.status < 400)
      response = http_error(500, "the model's file changed while it was served; the answer is lost");
    note(response);
    if (tells_message_errors(record_->path)) to_message_error(response, record_->id);
    record_->note_end();
    departure_->note_answered();
    inner_->respond(std::move(response));
  }
  void begin(HttpResponse head) override {
    note(head);
    inner_->begin(std::move(head));
  }
  void write(std::string piece) override { inner_->write(std::move(piece)); }
  void end() override {
    record_->note_end();
    departure_->note_answered();
    inner_->end();
  }
  void on_gone(std::function<void()> gone) override { departure_->tell(std::move(gone)); }

 private:
  void note(HttpResponse& response) {
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    record_->note_answer(response.status);
  }
  std::shared_ptr<Responder> inner_;
  std::shared_ptr<RequestRecord> record_;
  HttpHeaders headers_;
  std::shared_ptr<Departure> departure_;
};

/// 16 hex digits that no other request of any server is likely to have.
std::string fresh_number() {
  thread_local std::mt19937_64 numbers{(std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  std::uint64_t number = numbers();
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (int digit = 0; digit < 16; ++digit, number >>= 4) text += kHex[number & 15];
  return text;
}

/// A client's own number of a request goes into headers and logs: short and plain, or not at all.
bool is_plain(std::string_view text, std::string_view also, std::size_t longest) {
  const auto plain = [&](unsigned char c) { return std::isalnum(c) != 0 || also.find(c) != std::string_view::npos; };
  return !text.empty() && text.size() <= longest && std::ranges::all_of(text, plain);
}

/// The password of "Basic BASE64(NAME:PASSWORD)"; empty when it is none.
std::string basic_password(std::string_view base64) {
  constexpr std::size_t kLongest = 4096;
  if (base64.size() > kLongest) return {};
  std::string pair(base64.size(), '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(pair.data()),
                      reinterpret_cast<const unsigned char*>(base64.data()), static_cast<int>(base64.size()));
  if (length < 0) return {};
  pair.resize(static_cast<std::size_t>(length));
  while (pair.ends_with('\0')) pair.pop_back();  // what stood for '='
  const std::size_t colon = pair.find(':');
  return colon == std::string::npos ? std::string() : pair.substr(colon + 1);
}

/// The scheme of HTTP's authorization, in lower case, and what follows it.
std::pair<std::string, std::string_view> authorization(const HttpRequest& request) {
  const std::string_view header = request.header("authorization");
  const std::size_t space = std::min(header.find(' '), header.size());
  std::string scheme(header.substr(0, space));
  std::ranges::transform(scheme, scheme.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return {std::move(scheme), header.substr(std::min(space + 1, header.size()))};
}

/// The key that a request comes with, in one of the ways that clients have: a bearer (OpenAI's), a header of its own
/// (Anthropic's, Azure's), the password of a browser.
std::string given_key(const HttpRequest& request) {
  const auto [scheme, rest] = authorization(request);
  if (scheme == "bearer") return std::string(rest);
  if (scheme == "basic") return basic_password(rest);
  for (const std::string_view name : {"x-api-key", "api-key"}) {
    if (const std::string_view key = request.header(name); !key.empty()) return std::string(key);
  }
  return {};
}

/// Did a page of another origin make a browser send this? Browsers say so themselves where they trust the connection
/// (https, this machine); elsewhere, and older ones, they name the origin with whatever is no plain reading.
bool is_of_another_page(const HttpRequest& request) {
  if (const std::string_view site = request.header("sec-fetch-site"); !site.empty())
    return site != "same-origin" && site != "none";
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return false;
  const std::size_t host = origin.find("://");
  return host == std::string_view::npos || origin.substr(host + 3) != request.header("host");
}

/// Does the browser add the key by itself, so that it says nothing of who asks? Other keys are sent by programs, which
/// a browser lets no page of another origin do without asking the server.
bool has_ambient_key(const HttpRequest& request) {
  if (authorization(request).first == "basic") return true;
  return given_key(request).empty();
}

HttpResponse no_key(const HttpRequest& request) {
  HttpResponse response =
      http_error(401, "a valid API key is needed: the header \"Authorization: Bearer KEY\"", "invalid_api_key");
  response.headers.emplace_back("www-authenticate", "Bearer");
  // A browser that opens the page asks its user, and sends the answer with all that the page asks for. What the page
  // itself asks for gets no such question: it has a field of its own.
  const bool is_browser = request.header("sec-fetch-mode") == "navigate" ||
                          request.header("accept").find("text/html") != std::string_view::npos;
  if (is_browser) response.headers.emplace_back("www-authenticate", R"(Basic realm="corbel", charset="UTF-8")");
  return response;
}

}  // namespace

bool is_nested_deeper(std::string_view json, std::int64_t most) {
  std::int64_t depth = 0;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      for (++at; at < json.size() && json[at] != '"'; ++at) at += json[at] == '\\' ? 1 : 0;
    } else if (c == '[' || c == '{') {
      if (++depth > most) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

void Gate::set(GateOptions options) {
  options_ = std::move(options);
  rate_.limit_to(options_.requests_per_minute);
}

void Gate::set_keys(ApiKeys keys) {
  auto made = std::make_shared<const ApiKeys>(std::move(keys));
  const std::lock_guard lock(mutex_);
  keys_ = std::move(made);
}

std::shared_ptr<const ApiKeys> Gate::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

bool Gate::check_key(const HttpRequest& request, RequestRecord& record) const {
  const std::shared_ptr<const ApiKeys> all = keys();
  if (all->empty()) return true;
  const ApiKeys::Key* const key = all->find(given_key(request));
  if (key == nullptr) return false;
  record.key_name = key->name;
  record.key_salt = key->salt;
  return true;
}

bool Gate::allows_origin(std::string_view origin) const {
  return !origin.empty() && std::ranges::any_of(options_.cors_origins, [&](const std::string& allowed) {
    return allowed == "*" || allowed == origin;
  });
}

/// A page of somebody else's can have a form sent without asking: to a server on this machine, or with the key that the
/// browser knows. "*" lets any page ask that has a key of its own.
bool Gate::may_ask_from(std::string_view origin, const HttpRequest& request) const {
  if (std::ranges::find(options_.cors_origins, origin) != options_.cors_origins.end()) return true;
  if (allows_origin(origin)) return keys()->empty() || !has_ambient_key(request);
  return request.header("sec-fetch-site").empty() && !has_ambient_key(request);
}

std::optional<HttpResponse> Gate::check(const HttpRequest& request, RequestRecord& record) {
  const std::string_view origin = request.header("origin");
  const bool allowed = allows_origin(origin);
  if (allowed && request.method == "OPTIONS" && !request.header("access-control-request-method").empty()) {
    HttpResponse preflight{.status = 204, .content_type = {}};
    preflight.headers.emplace_back("access-control-allow-methods", "GET, HEAD, POST, DELETE, OPTIONS");
    if (const std::string_view asked = request.header("access-control-request-headers"); is_plain(asked, "-_, ", 2048))
      preflight.headers.emplace_back("access-control-allow-headers", asked);
    preflight.headers.emplace_back("access-control-max-age", "600");
    return preflight;
  }
  const bool is_reading = request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
  if (!is_reading && is_of_another_page(request) && !may_ask_from(origin, request))
    return http_error(403, "pages of other origins may not ask here (--cors-origin)", "origin_not_allowed");
  if (request.path != "/health" && !check_key(request, record)) return no_key(request);
  if (!is_reading) {
    if (const auto wait = rate_.take(record.key_name.empty() ? request.peer : record.key_name)) {
      HttpResponse response = http_error(
          429,
          cat("more than ", options_.requests_per_minute, " requests in a minute; come back in ", wait->count(), " s"),
          "rate_limit_exceeded");
      response.headers.emplace_back("retry-after", cat(wait->count()));
      return response;
    }
  }
  if (is_nested_deeper(request.body, options_.max_json_depth))
    return http_error(400, cat("the body: nested deeper than ", options_.max_json_depth, " levels"), "too_deep");
  return std::nullopt;
}

std::shared_ptr<RequestRecord> Gate::make_record(const HttpRequest& request) const {
  auto record = std::make_shared<RequestRecord>(options_.log);
  record->unique = fresh_number();
  const std::string_view asked = request.header("x-request-id");
  constexpr std::size_t kLongestId = 128;
  record->id = is_plain(asked, "-_.:", kLongestId) ? std::string(asked) : cat("req_", record->unique);
  record->method = request.method;
  record->path = request.path;
  record->limits = options_.limits;
  return record;
}

HttpHeaders Gate::headers_for(const HttpRequest& request, const RequestRecord& record) const {
  HttpHeaders headers{{"x-request-id", record.id}};
  if (tells_message_errors(request.path)) headers.emplace_back("request-id", record.id);
  if (!options_.cors_origins.empty()) headers.emplace_back("vary", "origin");
  if (const std::string_view origin = request.header("origin"); allows_origin(origin)) {
    headers.emplace_back("access-control-allow-origin", origin);
    headers.emplace_back("access-control-expose-headers", "x-request-id, retry-after");
  }
  return headers;
}

void Gate::pass(HttpRequest request, std::shared_ptr<Responder> responder, const Next& next) {
  std::shared_ptr<Responder> noting = responder;
  try {
    const std::shared_ptr<RequestRecord> record = make_record(request);
    noting = std::make_shared<NotingResponder>(std::move(responder), record, headers_for(request, *record));
    if (auto refused = check(request, *record)) return noting->respond(*std::move(refused));
    if (request.method == "HEAD") request.method = "GET";  // the connection keeps the body to itself
    next(request, record, noting);
  } catch (const std::exception& thrown) {  // of a standard library: no memory
    noting->respond(http_error(503, cat("out of resources: ", thrown.what())));
  }
}

HttpResponse Gate::refuse(const HttpRequest& head, int status, std::string_view why) const {
  const std::shared_ptr<RequestRecord> record = make_record(head);
  HttpResponse response = http_error(status, why);
  response.headers = headers_for(head, *record);
  if (tells_message_errors(head.path)) to_message_error(response, record->id);
  record->note_answer(status);
  record->note_end();
  return response;
}

}  // namespace corbel
