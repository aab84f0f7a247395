#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The room of the server: HTTP in front of the engine. An endpoint is a function from a request to a responder and
/// knows no socket (endpoints.h); http_server.h speaks HTTP and knows no model; engine_thread.h keeps the engine on one
/// thread.
namespace corbel {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;     // without the query
  HttpHeaders headers;  // names in lower case
  std::string body;
  std::string peer;  // the client's address, without the port

  /// The first header of that name (in lower case); empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  HttpHeaders headers;
};

/// {"error": {"message", "type", "param", "code"}}, the shape that all errors have; the type is that of the status.
HttpResponse http_error(int status, std::string_view message, std::string_view code = {});

/// Where an answer goes. Any thread may call it; what comes after the end, or when the client is gone, is ignored.
class Responder {
 public:
  virtual ~Responder() = default;
  /// The whole answer.
  virtual void respond(HttpResponse response) = 0;
  /// An answer in pieces: its head, with an empty body; then pieces; then the end.
  virtual void begin(HttpResponse head) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  /// Called once when the client goes away before the end, on a thread of the server's; at once when it has.
  virtual void on_gone(std::function<void()> gone) = 0;
};

/// The answer to what never became a request; of its head, as much as came in.
using HttpRefusal = std::function<HttpResponse(const HttpRequest& head, int status, std::string_view why)>;
using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<Responder> responder)>;

}  // namespace corbel
