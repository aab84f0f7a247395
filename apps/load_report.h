#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/load_client.h"
#include "corbel/base/json.h"

/// What a load has measured, in one table or one object.
namespace corbel::app {

/// Of values in any order; by the nearest rank, so that each is a value that was measured.
struct Percentiles {
  static Percentiles of(std::vector<double> values);
  double mean = 0.0, p50 = 0.0, p90 = 0.0, p95 = 0.0, p99 = 0.0, most = 0.0;
  std::size_t count = 0;
};

/// What an answer must keep to count as good: seconds. "ttft=0.2,tpot=0.05,e2e=10", or with ms: "ttft=200ms".
struct ServiceLevel {
  std::optional<double> ttft, tpot, e2e;
  static Result<ServiceLevel> read(const std::string& text);
  bool any() const { return ttft || tpot || e2e; }
  bool kept_by(const LoadOutcome& outcome, bool streams) const;
};

struct LoadReport {
  LoadReport(const LoadResult& result, const ServiceLevel& level, bool streams);

  std::int64_t requests = 0, succeeded = 0, good = 0;
  std::map<std::string, std::int64_t> failures;  // kind -> how many
  double seconds = 0.0;
  std::int64_t prompt_tokens = 0, answer_tokens = 0;
  Percentiles prompt, answer;             // tokens of a request
  Percentiles ttft, tpot, gap, e2e, lag;  // seconds; lag: sent later than it was due
  bool streams = true;
  ServiceLevel level;

  std::string text() const;
  Json json() const;
};

/// Seconds for each token after the first; nothing of answers of one token.
std::optional<double> seconds_per_token(const LoadOutcome& outcome);

}  // namespace corbel::app
