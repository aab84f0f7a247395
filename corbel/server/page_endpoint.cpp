#include <algorithm>
#include <array>

#include "corbel/base/quote.h"
#include "corbel/server/endpoints.h"
#include "corbel/server/page_files.h"

namespace corbel {
namespace {

struct ContentType {
  std::string_view ending;
  std::string_view type;
};
constexpr auto kTypes = std::to_array<ContentType>({{".html", "text/html; charset=utf-8"},
                                                    {".js", "text/javascript; charset=utf-8"},
                                                    {".css", "text/css; charset=utf-8"},
                                                    {".svg", "image/svg+xml"}});

/// Nothing but this server is asked for anything, nothing is run but the page's own modules, and no other page may
/// frame it. Trusted types: text never becomes elements by being parsed, which the page's code does not do either.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

std::string_view content_type(std::string_view name) {
  const auto type = std::ranges::find_if(kTypes, [&](const ContentType& one) { return name.ends_with(one.ending); });
  return type == kTypes.end() ? "text/plain; charset=utf-8" : type->type;
}

}  // namespace

void page_endpoint(const EndpointCall& call) {
  constexpr std::string_view kFolder = "/page/";
  std::string_view name = "index.html";
  if (call.request.path != "/") name = std::string_view(call.request.path).substr(kFolder.size());
  const auto file = std::ranges::find(page_files(), name, &PageFile::name);
  if (file == page_files().end())
    return call.responder->respond(http_error(404, cat("there is no ", clip(call.request.path), " here")));
  HttpResponse response{.content_type = std::string(content_type(name))};
  // Another version of the server has other files: they are asked for each time, and sent when they have changed.
  response.headers = {{"cache-control", "no-cache"},
                      {"etag", std::string(file->etag)},
                      {"content-security-policy", std::string(kPolicy)},
                      {"x-content-type-options", "nosniff"},
                      {"referrer-policy", "no-referrer"},
                      {"cross-origin-opener-policy", "same-origin"}};
  if (call.request.header("if-none-match").find(file->etag) != std::string_view::npos) {
    response.status = 304;
  } else {
    response.body = file->text;
  }
  call.responder->respond(std::move(response));
}

}  // namespace corbel
