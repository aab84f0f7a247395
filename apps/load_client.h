#pragma once
#include <functional>
#include <string>
#include <vector>

#include "corbel/base/result.h"

/// Requests to a server over HTTP, many at a time on one thread, each with the times at which its answer came.
namespace corbel::app {

/// Where requests go: http://HOST:PORT, with or without /v1 behind it.
struct LoadTarget {
  std::string host, port;
  std::string prefix;  // of paths: "" or "/some/where", without /v1
  std::string key;     // sent as "Authorization: Bearer"; empty: none
};
Result<LoadTarget> read_load_target(const std::string& url, const std::string& key);

struct LoadReply {
  int status = 0;
  std::string body;
};
/// One request, waited for. Fails when no answer comes.
Result<LoadReply> ask_server(const LoadTarget& target, const std::string& path, const std::string& body,
                             double timeout_seconds);

struct LoadRequest {
  std::string body;
  double at_seconds = 0.0;  // after the begin; it is sent then, or when a place is free
};

/// What became of one request. Times are seconds after the begin of the run.
struct LoadOutcome {
  std::string failure;  // empty: all went well; else its kind: "status 429", "timeout", ...
  double due = 0.0;     // when it was to be sent
  double sent = 0.0;
  double first = 0.0;  // the first piece with text; of a whole answer: its end
  double last = 0.0;   // the last piece with text
  double end = 0.0;
  std::int64_t prompt_tokens = 0;  // as the server counts them; 0: it does not say
  std::int64_t answer_tokens = 0;
  std::vector<double> gaps;  // between pieces with text
};

struct LoadRun {
  std::string path;  // "/v1/chat/completions"
  std::vector<LoadRequest> requests;
  std::int64_t at_once = 1;  // requests under way
  bool streams = true;
  double timeout_seconds = 300.0;
  std::function<void(const LoadOutcome&)> on_end = [](const LoadOutcome&) {};  // on the run's thread
};

struct LoadResult {
  std::vector<LoadOutcome> outcomes;  // in the order in which they ended
  double seconds = 0.0;
};
/// Runs to the end of the last request; `stop` is looked at between requests.
LoadResult run_load(const LoadTarget& target, const LoadRun& run, const std::function<bool()>& stop);

}  // namespace corbel::app
