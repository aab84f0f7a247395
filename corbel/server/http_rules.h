#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "corbel/server/http_message.h"

/// What RFC 9110 and 9112 say of messages beyond their syntax, on plain values.
namespace corbel {

/// The path of a request's target, without its query: of a whole URL (RFC 9112 3.2.2) what stands behind the host, and
/// percent-encoded letters, digits, '-', '.', '_' and '~' as they are (RFC 3986 6.2.2.2).
std::string path_of_target(std::string_view target);

/// The status that refuses a head, 0 when it is well: HTTP/1.1 without Host or any version with two (RFC 9112 3.2), a
/// transfer coding other than chunked (RFC 9112 6.1).
int refused_head(const HttpRequest& head, unsigned version);

/// Whether the client waits for 100 before it sends the body: never one of HTTP/1.0 (RFC 9110 10.1.1).
bool expects_continue(const HttpRequest& head, unsigned version);

/// "Sun, 06 Nov 1994 08:49:37 GMT", as the field Date has it (RFC 9110 5.6.7).
std::string http_date(std::chrono::system_clock::time_point time);

}  // namespace corbel
