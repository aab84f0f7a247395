#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/engine/engine.h"

namespace corbel {

/// How many values were at most each bound. Not for several threads at once.
class Histogram {
 public:
  /// Ascending; they outlive it or are copied with it.
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void add(double value);
  std::span<const double> bounds() const { return bounds_; }
  /// Of values above the bound before and at most bounds()[i]; the last one: above all bounds.
  std::span<const std::uint64_t> counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0.0;
};

/// What became of the requests to one model, as vLLM's dashboards ask for it. Any thread.
class ModelMetrics {
 public:
  /// Why answers ended, in vLLM's words.
  enum class End { stop, length, abort, error };
  /// An answer as a whole.
  struct Answer {
    End end = End::stop;
    double seconds = 0.0;             // since the request arrived
    GenerateFigures figures;          // not of End::error
    bool is_first = true;             // of the request: the prompt counts once
    std::int64_t counted_tokens = 0;  // generated ones that note_token() was called for
  };

  explicit ModelMetrics(std::int64_t context_tokens);
  void note_request(std::int64_t choices, std::int64_t max_tokens);
  /// A request's first token, so many seconds after it arrived; any later one, so many after the one before.
  void note_first_token(double seconds);
  void note_token(double gap_seconds);
  void note_end(const Answer& answer);
  /// A text that became a vector, so many seconds after its request arrived.
  void note_text(std::int64_t tokens, double seconds);
  void note_broken();  // its logits were not finite

 private:
  friend class MetricsPage;
  mutable std::mutex mutex_;
  std::array<std::uint64_t, 4> ended_{};  // by End
  std::uint64_t broken_ = 0;
  std::int64_t prompt_tokens_ = 0, cached_tokens_ = 0, generated_tokens_ = 0;
  Histogram first_token_, token_gap_, token_mean_, whole_, queue_, inference_, prefill_, decode_;
  Histogram prompt_sizes_, answer_sizes_, most_answer_sizes_, max_tokens_, computed_, choices_;
};

/// Of the rows of an engine's steps.
Histogram step_token_histogram();

/// What an engine says at the moment when metrics are asked for.
struct EngineSample {
  std::string model;
  EngineFigures figures;
  std::int64_t context_tokens = 0;
  Histogram step_tokens = step_token_histogram();
};

/// The metrics of all models, by name, and of HTTP. Any thread.
class ServerMetrics {
 public:
  /// Made when first asked for; stays where it is.
  ModelMetrics& of(std::string_view model, std::int64_t context_tokens);
  void note_response(int status);
  /// Prometheus' text format, under vLLM's names.
  std::string page(std::span<const EngineSample> engines);

 private:
  std::mutex mutex_;
  std::map<std::string, ModelMetrics, std::less<>> models_;
  std::map<int, std::uint64_t> responses_;  // by status
};

}  // namespace corbel
