#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/server/metrics.h"

namespace corbel {

/// Prometheus' text format (0.0.4): families in the order in which they first came, each with its lines together.
class MetricsPage {
 public:
  void add(const EngineSample& engine, const ModelMetrics& model);
  void add_responses(const std::map<int, std::uint64_t>& responses);
  std::string text() const;

 private:
  struct Family {
    std::string name, type, help, lines;
  };
  Family& family(std::string_view name, std::string_view type, std::string_view help);
  void add_value(Family& family, std::string_view labels, double value);
  void add_engine(const EngineSample& engine);
  void add_counts(const EngineFigures& figures, const ModelMetrics& model);
  void add_drafts(const EngineFigures& figures);
  void add_absent();
  void add_counter(std::string_view name, std::string_view help, double value, std::string_view labels = {});
  void add_histograms(const ModelMetrics& model);
  void add_histogram(std::string_view name, std::string_view help, const Histogram& histogram);
  std::vector<Family> families_;
  std::string labels_;  // of the model at hand
};

}  // namespace corbel
