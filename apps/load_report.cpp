#include "apps/load_report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/number_text.h"
#include "apps/table.h"

namespace corbel::app {
namespace {

Json percentiles_json(const Percentiles& of, double scale) {
  return {{"mean", of.mean * scale}, {"p50", of.p50 * scale},  {"p90", of.p90 * scale}, {"p95", of.p95 * scale},
          {"p99", of.p99 * scale},   {"max", of.most * scale}, {"count", of.count}};
}

double per_second(std::int64_t count, double seconds) {
  return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
}

}  // namespace

Percentiles Percentiles::of(std::vector<double> values) {
  Percentiles result;
  result.count = values.size();
  if (values.empty()) return result;
  std::ranges::sort(values);
  const auto at = [&](double share) {
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::min(values.size() - 1, rank > 0 ? rank - 1 : 0)];
  };
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  result.p50 = at(0.50);
  result.p90 = at(0.90);
  result.p95 = at(0.95);
  result.p99 = at(0.99);
  result.most = values.back();
  return result;
}

Result<ServiceLevel> ServiceLevel::read(const std::string& text) {
  ServiceLevel level;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const std::size_t cut = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, cut);
    std::string_view number = part.substr(std::min(cut + 1, part.size()));
    double scale = 1.0;
    if (number.ends_with("ms")) {
      number.remove_suffix(2);
      scale = 1e-3;
    } else if (number.ends_with('s')) {
      number.remove_suffix(1);
    }
    double value = 0.0;
    const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
    const bool good = read.ec == std::errc() && read.ptr == number.data() + number.size() && value > 0.0;
    std::optional<double>* const place = name == "ttft"   ? &level.ttft
                                         : name == "tpot" ? &level.tpot
                                         : name == "e2e"  ? &level.e2e
                                                          : nullptr;
    if (!good || place == nullptr)
      return fail(Code::bad_request, cat("--slo has \"", part,
                                         "\"; expected ttft=, tpot= or e2e= with seconds or ms: ttft=200ms,tpot=50ms"));
    *place = value * scale;
  }
  return level;
}

std::optional<double> seconds_per_token(const LoadOutcome& outcome) {
  if (outcome.answer_tokens < 2) return {};
  return (outcome.last - outcome.first) / static_cast<double>(outcome.answer_tokens - 1);
}

bool ServiceLevel::kept_by(const LoadOutcome& outcome, bool streams) const {
  if (!outcome.failure.empty()) return false;
  if (streams && ttft && outcome.first - outcome.due > *ttft) return false;
  if (streams && tpot && seconds_per_token(outcome).value_or(0.0) > *tpot) return false;
  return !e2e || outcome.end - outcome.due <= *e2e;
}

LoadReport::LoadReport(const LoadResult& result, const ServiceLevel& wanted, bool in_pieces)
    : seconds(result.seconds), streams(in_pieces), level(wanted) {
  std::vector<double> prompts, answers, firsts, per_token, gaps, ends, lags;
  for (const LoadOutcome& one : result.outcomes) {
    ++requests;
    if (!one.failure.empty()) {
      ++failures[one.failure];
      continue;
    }
    ++succeeded;
    prompt_tokens += one.prompt_tokens;
    answer_tokens += one.answer_tokens;
    prompts.push_back(static_cast<double>(one.prompt_tokens));
    answers.push_back(static_cast<double>(one.answer_tokens));
    ends.push_back(one.end - one.due);
    lags.push_back(one.sent - one.due);
    if (level.kept_by(one, streams)) ++good;
    if (!streams) continue;
    firsts.push_back(one.first - one.due);
    if (const auto each = seconds_per_token(one)) per_token.push_back(*each);
    gaps.insert(gaps.end(), one.gaps.begin(), one.gaps.end());
  }
  prompt = Percentiles::of(std::move(prompts));
  answer = Percentiles::of(std::move(answers));
  ttft = Percentiles::of(std::move(firsts));
  tpot = Percentiles::of(std::move(per_token));
  gap = Percentiles::of(std::move(gaps));
  e2e = Percentiles::of(std::move(ends));
  lag = Percentiles::of(std::move(lags));
}

std::string LoadReport::text() const {
  std::string text = field_line("requests", cat(succeeded, " of ", requests, " in ", format("%.2f s", seconds)));
  for (const auto& [kind, count] : failures) text += field_line("failed", cat(count, " x ", kind));
  if (succeeded == 0) return text;
  text += field_line("throughput", format("%.2f requests/s, %.1f answer tokens/s, %.1f tokens/s with prompts",
                                          per_second(succeeded, seconds), per_second(answer_tokens, seconds),
                                          per_second(prompt_tokens + answer_tokens, seconds)));
  text += field_line("tokens", format("prompts %.1f (most %.0f), answers %.1f (most %.0f)", prompt.mean, prompt.most,
                                      answer.mean, answer.most));
  if (level.any())
    text += field_line("goodput", format("%.2f requests/s, %.1f%% of all", per_second(good, seconds),
                                         100.0 * static_cast<double>(good) / static_cast<double>(requests)));
  Table table({"ms", ">mean", ">p50", ">p90", ">p95", ">p99", ">max"});
  const auto row = [&table](const char* name, const Percentiles& of) {
    if (of.count == 0) return;
    table.row({name, format("%.1f", of.mean * 1e3), format("%.1f", of.p50 * 1e3), format("%.1f", of.p90 * 1e3),
               format("%.1f", of.p95 * 1e3), format("%.1f", of.p99 * 1e3), format("%.1f", of.most * 1e3)});
  };
  row("first token (TTFT)", ttft);
  row("each token after it (TPOT)", tpot);
  row("between pieces", gap);
  row("whole answer", e2e);
  if (lag.most > 1e-3) row("sent later than due", lag);
  return text + '\n' + table.text();
}

Json LoadReport::json() const {
  Json failed = Json::object();
  for (const auto& [kind, count] : failures) failed[kind] = count;
  Json json = {{"requests", requests},
               {"succeeded", succeeded},
               {"failures", failed},
               {"seconds", seconds},
               {"requests_per_s", per_second(succeeded, seconds)},
               {"answer_tokens_per_s", per_second(answer_tokens, seconds)},
               {"tokens_per_s", per_second(prompt_tokens + answer_tokens, seconds)},
               {"prompt_tokens", percentiles_json(prompt, 1.0)},
               {"answer_tokens", percentiles_json(answer, 1.0)},
               {"e2e_ms", percentiles_json(e2e, 1e3)},
               {"lag_ms", percentiles_json(lag, 1e3)}};
  if (streams) {
    json["ttft_ms"] = percentiles_json(ttft, 1e3);
    json["tpot_ms"] = percentiles_json(tpot, 1e3);
    json["itl_ms"] = percentiles_json(gap, 1e3);
  }
  if (level.any()) {
    json["good"] = good;
    json["goodput_requests_per_s"] = per_second(good, seconds);
  }
  return json;
}

}  // namespace corbel::app
