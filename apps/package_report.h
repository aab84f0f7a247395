#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/format/model_package.h"
#include "corbel/model/text_model.h"

namespace corbel::app {

/// Tensors of one format, together.
struct FormatTotals {
  std::string format;
  std::int64_t tensors = 0;
  std::int64_t values = 0;
  std::int64_t bytes = 0;
  double bits_per_weight() const {
    return values > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(values) : 0.0;
  }
};

/// What there is to say about a model without running it.
struct PackageReport {
  std::shared_ptr<const ModelPackage> package;
  std::vector<SourceTensor> tensors;  // in the order of the names
  std::vector<std::string> unread;    // describe() of tensors that are no weights
  std::vector<FormatTotals> formats;  // largest first
  FormatTotals total;
  std::optional<TextModelInfo> model;   // of the family that would run it
  std::string model_refusal;            // why there is none
  std::int64_t cached_token_bytes = 0;  // keys and values
  std::int64_t longest_context = 0;
  std::string tokenizer;               // "128256 tokens, largest id 128255", or why there is none
  std::vector<std::string> templates;  // names
  std::string template_refusal;
};

/// Reads headers, config, tokenizer and template. Refused only when nothing can be read at all.
Result<PackageReport> describe_package(std::shared_ptr<const ModelPackage> package);

std::string report_text(const PackageReport& report);
std::string tensors_text(const PackageReport& report);
Json report_json(const PackageReport& report);
/// Name, format, shape, bytes, bits per weight, and the place in an artifact.
Json tensors_json(const PackageReport& report);

}  // namespace corbel::app
