#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "corbel/server/api_keys.h"
#include "corbel/server/http_message.h"
#include "corbel/server/rate_limit.h"
#include "corbel/server/request_record.h"

namespace corbel {

struct GateOptions {
  std::vector<std::string> cors_origins;  // pages of which may ask from a browser; "*": any; empty: none
  std::int64_t max_json_depth = 64;       // of a body's arrays and objects
  std::int64_t requests_per_minute = 0;   // of each key, or of each address where there are no keys; 0: any number
  RequestLimits limits;
  std::function<void(const RequestSummary& summary)> log;  // of each request, at its end; any thread
};

/// Where every request comes through before its endpoint, and every answer on its way back: the request's number, keys,
/// origins, rates, depths; what it was is told when all is over.
class Gate {
 public:
  /// Before the first request.
  void set(GateOptions options);
  /// One of them must come with a request, but for /health; none: none is needed. Any time.
  void set_keys(ApiKeys keys);

  /// What goes on with a request that came through: it is answered, now or later. May throw.
  using Next = std::function<void(const HttpRequest& request, const std::shared_ptr<RequestRecord>& record,
                                  const std::shared_ptr<Responder>& responder)>;
  /// Never throws.
  void pass(HttpRequest request, std::shared_ptr<Responder> responder, const Next& next);
  /// The answer to what never became a request: too large, too slow, no HTTP. As much of its head as came in says to
  /// whom it speaks.
  HttpResponse refuse(const HttpRequest& head, int status, std::string_view why) const;

 private:
  std::shared_ptr<RequestRecord> make_record(const HttpRequest& request) const;
  /// What every answer's head says besides.
  HttpHeaders headers_for(const HttpRequest& request, const RequestRecord& record) const;
  std::shared_ptr<const ApiKeys> keys() const;
  bool check_key(const HttpRequest& request, RequestRecord& record) const;
  bool allows_origin(std::string_view origin) const;
  bool may_ask_from(std::string_view origin, const HttpRequest& request) const;
  /// Nothing: it may pass.
  std::optional<HttpResponse> check(const HttpRequest& request, RequestRecord& record);

  GateOptions options_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ApiKeys> keys_ = std::make_shared<ApiKeys>();  // replaced as a whole
  RateLimit rate_;
};

/// Do arrays and objects stand deeper in each other than `most`? Of JSON; what is none may say either.
bool is_nested_deeper(std::string_view json, std::int64_t most);

}  // namespace corbel
