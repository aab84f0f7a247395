#include "corbel/server/access_log.h"

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// "2026-11-29T13:31:56.123Z"
std::string utc(std::chrono::system_clock::time_point time) {
  using std::chrono::milliseconds;
  const auto since = std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = since / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string ms = cat(since % 1000 + 1000);
  return cat(std::string_view(text, length), '.', std::string_view(ms).substr(1), 'Z');
}

}  // namespace

std::string access_log_line(const RequestSummary& summary) {
  Json line = {{"time", utc(summary.arrived)},   {"id", clip(summary.id)},
               {"method", clip(summary.method)}, {"path", clip(summary.path)},
               {"status", summary.status},       {"ms", std::round(summary.ms * 10.0) / 10.0}};
  if (!summary.finish.empty()) {
    line["prompt_tokens"] = summary.prompt_tokens;
    line["answer_tokens"] = summary.answer_tokens;
    line["finish"] = summary.finish;
  }
  if (!summary.key.empty()) line["key"] = summary.key;
  if (summary.client_left) line["client_left"] = true;
  return line.dump(-1, ' ', true, Json::error_handler_t::replace) + '\n';
}

}  // namespace corbel
