#include "corbel/hub/hub_client.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <thread>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::size_t kMostListingBytes = std::size_t{64} << 20;
constexpr int kMostRedirects = 8;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}
bool is_passing(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

std::optional<std::int64_t> read_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// The first byte that a 206 brings: "bytes 100-199/200".
std::optional<std::int64_t> range_begin(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  return read_number(text.substr(0, text.find('-')));
}

}  // namespace

/// What is asked for, and where the answer's body goes.
struct HubClient::Question {
  std::string doing;  // "cannot list ORG/NAME": the front of messages
  std::string repository;
  std::string what;  // "the revision \"x\"": what a 404 misses
  std::string url;
  bool head_only = false;
  const HubSink* sink = nullptr;  // null: no body
  std::int64_t bytes = -1;        // of the whole, where known
};

/// How one try ended, after its redirects.
struct HubClient::Answer {
  HttpEnd end;
  HttpHead first;        // of the endpoint: has the hub's own headers
  bool foreign = false;  // another host than the endpoint's answered
  std::string host;
  std::optional<Error> error;  // of the sink
};

Result<void> check_access(HubAccess& access) {
  while (access.endpoint.ends_with('/')) access.endpoint.pop_back();
  if (url_origin(access.endpoint).empty())
    return fail(Code::bad_request, cat("HF_ENDPOINT is ", quote(access.endpoint), "; expected https://HOST"));
  if (std::ranges::any_of(access.token, [](char c) { return c <= ' ' || c >= 0x7f; }))
    return fail(Code::bad_request, "the access token has blanks or characters that no header carries; see HF_TOKEN");
  return {};
}

HubClient::HubClient(const HubAccess& access, const std::atomic<bool>& stop)
    : access_(access), stop_(stop), http_(access.times, access.user_agent) {}

bool HubClient::cancelled() const { return stop_ || (access_.cancel != nullptr && *access_.cancel); }

/// A server may send back what it was given.
std::string HubClient::without_token(std::string text) const {
  if (access_.token.empty()) return text;
  for (std::size_t at = text.find(access_.token); at != text.npos; at = text.find(access_.token))
    text.replace(at, access_.token.size(), "[token]");
  return text;
}

bool HubClient::wait(std::chrono::milliseconds time) const {
  const auto until = std::chrono::steady_clock::now() + time;
  while (!cancelled() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return !cancelled();
}

HubClient::Answer HubClient::ask_once(const Question& question) {
  Answer answer;
  std::string url = question.url;
  const std::string home = url_origin(access_.endpoint);
  for (int redirects = 0;; ++redirects) {
    HttpExchange exchange{.url = url, .head_only = question.head_only};
    answer.foreign = url_origin(url) != home;
    answer.host = url_origin(url);
    if (!answer.foreign && !access_.token.empty())
      exchange.headers.push_back(cat("authorization: Bearer ", access_.token));
    const std::int64_t from = question.sink != nullptr ? question.sink->position() : 0;
    if (from > 0) exchange.headers.push_back(cat("range: bytes=", from, "-"));
    HttpSink sink{.cancelled = [this] { return cancelled(); }};
    sink.begin = [&](const HttpHead& head) {
      const bool rest = head.status == 206 && range_begin(head.header("content-range")) == from;
      if (!rest && head.status != 200) return false;
      if (question.sink == nullptr) return true;
      const auto begun = question.sink->begin(rest ? from : 0);  // 200: that side knows no ranges
      if (!begun) answer.error = begun.error();
      return !answer.error;
    };
    sink.add = [&](std::span<const std::byte> bytes) {
      if (question.sink == nullptr) return true;
      if (const auto added = question.sink->add(bytes); !added) answer.error = added.error();
      return !answer.error;
    };
    answer.end = http_.get(exchange, sink);
    if (!answer.foreign && answer.end.head.status != 0) answer.first = answer.end.head;
    if (answer.error || !is_redirect(answer.end.head.status)) return answer;
    const std::string next = resolve_url(url, std::string(answer.end.head.header("location")));
    const bool weaker = url.starts_with("https:") && !next.starts_with("https:");
    if (next.empty() || weaker || redirects == kMostRedirects) {
      answer.end.kind = HttpEnd::Kind::failed;
      answer.end.reason = redirects == kMostRedirects ? "too many redirects" : "it redirects to no safe address";
      answer.end.head.status = 0;
      return answer;
    }
    if (question.head_only && url_origin(next) != home) return answer;  // the hub's headers say it all
    url = next;
  }
}

Failure HubClient::refusal(const Question& question, const Answer& answer) const {
  const auto say = [&](Code code, const auto&... text) {
    return fail(code, without_token(cat(question.doing, ": ", text...)));
  };
  const HttpHead& head = answer.end.head;
  const std::string page = cat(access_.endpoint, "/", question.repository);
  const std::string_view code = head.header("x-error-code");
  const bool has_token = !access_.token.empty();
  if (head.status == 0) return say(Code::bad_file, answer.host, ": ", answer.end.reason);
  if (answer.foreign) return say(Code::bad_file, answer.host, " answered ", head.status);
  if (code == "GatedRepo" || head.status == 403)
    return say(Code::bad_request, "the repository is gated; ask for access at ", page,
               has_token ? ", with the account of your token" : ", then set HF_TOKEN to a token of that account");
  if (head.status == 404 && code != "RepoNotFound")
    return say(Code::bad_request, question.what, " is not there; see ", page, "/tree/main");
  if (head.status == 401 || head.status == 404)
    return say(Code::bad_request, access_.endpoint, " shows no repository ", question.repository,
               has_token ? " to your token; check the name, and the token (HF_TOKEN)"
                         : "; check the name, or set HF_TOKEN where it is private");
  const std::string_view message = head.header("x-error-message");
  return say(Code::bad_file, answer.host, " answered ", head.status, message.empty() ? "" : ", ", clip(message));
}

Result<HttpHead> HubClient::ask(const Question& question) {
  using std::chrono::milliseconds;
  constexpr milliseconds kFirstWait{500};
  constexpr milliseconds kLongestWait{8000};
  milliseconds pause = kFirstWait;
  int failures = 0;
  for (;;) {
    const std::int64_t before = question.sink != nullptr ? question.sink->position() : 0;
    const Answer answer = ask_once(question);
    if (answer.error) return Failure{*answer.error};
    if (answer.end.kind == HttpEnd::Kind::cancelled || cancelled()) return fail(Code::cancelled, "interrupted");
    const int status = answer.end.head.status;
    const bool good = status == 200 || status == 206 || (question.head_only && is_redirect(status));
    const bool cut = answer.end.kind == HttpEnd::Kind::cut;
    if (good && (answer.end.kind == HttpEnd::Kind::complete || question.head_only))
      return answer.first.status != 0 ? answer.first : answer.end.head;
    // What is there may be too long, or the file of another time: once more, from the beginning.
    if (const bool no_range = status == 416 || status == 206; no_range && !cut && before > 0) {
      CORBEL_TRY(question.sink->begin(0));
    } else if (!cut && !is_passing(status)) {
      return refusal(question, answer);
    }
    const bool went_on = question.sink != nullptr && question.sink->position() > before;
    if (went_on) failures = 0, pause = kFirstWait;
    if (failures++ == access_.retries) {
      if (!cut) return refusal(question, answer);
      const std::string kept = before > 0 || went_on ? "; what came is kept, the same command goes on from there" : "";
      return fail(Code::bad_file, without_token(cat(question.doing, ": ", answer.host, ": ", answer.end.reason, ", ",
                                                    failures, " times", kept)));
    }
    milliseconds time = pause;
    if (const auto seconds = read_number(answer.end.head.header("retry-after")); seconds && !cut)
      time = std::min<milliseconds>(std::chrono::seconds(*seconds), std::chrono::seconds(60));
    if (!wait(time)) return fail(Code::cancelled, "interrupted");
    pause = std::min(2 * pause, kLongestWait);
  }
}

Result<RepositoryListing> HubClient::list(const std::string& repository, const std::string& revision) {
  std::string text;
  const HubSink sink{.position = [] { return std::int64_t{0}; },
                     .begin =
                         [&](std::int64_t) {
                           text.clear();
                           return Result<void>();
                         },
                     .add = [&](std::span<const std::byte> bytes) -> Result<void> {
                       text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                       if (text.size() <= kMostListingBytes) return {};
                       return fail(Code::bad_file, "the hub's list of files is longer than 64 MB");
                     }};
  Question question{.doing = cat("cannot list ", repository),
                    .repository = repository,
                    .what = cat("the revision ", quote(revision)),
                    .url = cat(access_.endpoint, "/api/models/", url_encode(repository, Slashes::keep), "/revision/",
                               url_encode(revision, Slashes::encode), "?blobs=true"),
                    .sink = &sink};
  CORBEL_ASSIGN(const HttpHead head, ask(question));
  return read_listing(text, cat("the hub's list of ", repository));
}

std::string HubClient::file_url(const std::string& repository, const std::string& commit,
                                const std::string& path) const {
  return cat(access_.endpoint, "/", url_encode(repository, Slashes::keep), "/resolve/", commit, "/",
             url_encode(path, Slashes::keep));
}

Result<RemoteFile> HubClient::describe(const std::string& repository, const std::string& commit,
                                       const RemoteFile& file) {
  Question question{.doing = cat("cannot download ", clip(file.path)),
                    .repository = repository,
                    .what = quote(file.path),
                    .url = file_url(repository, commit, file.path),
                    .head_only = true};
  CORBEL_ASSIGN(const HttpHead head, ask(question));
  RemoteFile described = file;
  const bool large = !head.header("x-linked-etag").empty();
  const std::string_view hash = head.header(large ? "x-linked-etag" : "etag");
  if (!read_hash(hash, described))
    return fail(Code::bad_file, cat(question.doing, ": the hub names no hash of it, but ", quote(hash)));
  const auto bytes = read_number(head.header(large ? "x-linked-size" : "content-length"));
  if (!bytes) return fail(Code::bad_file, cat(question.doing, ": the hub names no size of it"));
  described.bytes = *bytes;
  return described;
}

Result<void> HubClient::read(const std::string& repository, const std::string& commit, const RemoteFile& file,
                             const HubSink& sink) {
  Question question{.doing = cat("cannot download ", clip(file.path)),
                    .repository = repository,
                    .what = quote(file.path),
                    .url = file_url(repository, commit, file.path),
                    .sink = &sink,
                    .bytes = file.bytes};
  CORBEL_ASSIGN(const HttpHead head, ask(question));
  RemoteFile seen;
  const std::string_view etag = head.header("x-linked-etag");
  if (etag.empty() || !read_hash(etag, seen) || seen.hash == file.hash) return {};
  return fail(Code::bad_file, cat(question.doing, ": the hub lists it as ", file.hash, " and gives ", seen.hash));
}

}  // namespace corbel
