#include "apps/package_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/device_setup.h"
#include "apps/table.h"
#include "corbel/base/quote.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "corbel/text/chat_template.h"
#include "corbel/text/tokenizer.h"

namespace corbel::app {
namespace {

std::string decimals(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// "1.24 B", "135 M", "96512".
std::string count_text(std::int64_t count) {
  if (count >= 1'000'000'000) return decimals(static_cast<double>(count) / 1e9, 2) + " B";
  return count >= 1'000'000 ? decimals(static_cast<double>(count) / 1e6, 1) + " M" : std::to_string(count);
}

Result<void> read_tensors(PackageReport& report) {
  CORBEL_ASSIGN(const std::shared_ptr<const TensorSource> source, report.package->tensors());
  std::map<std::string, FormatTotals, std::less<>> formats;
  for (const std::string& name : source->names()) {
    std::optional<SourceTensor> tensor = source->find(name);
    if (!tensor) {
      report.unread.push_back(cat(name, ": ", source->describe(name)));
      continue;
    }
    FormatTotals& totals = formats[std::string(tensor->format->name)];
    totals.format = tensor->format->name;
    for (FormatTotals* sum : {&totals, &report.total}) {
      ++sum->tensors;
      sum->values += tensor->shape.elements();
      sum->bytes += std::ssize(tensor->bytes);
    }
    report.tensors.push_back(*std::move(tensor));
  }
  for (auto& [name, totals] : formats) report.formats.push_back(std::move(totals));
  std::stable_sort(report.formats.begin(), report.formats.end(),
                   [](const FormatTotals& a, const FormatTotals& b) { return a.bytes > b.bytes; });
  return {};
}

/// What the model's family says: it is made on the default device, which touches no weights but norms and biases.
Result<void> read_model(PackageReport& report) {
  CORBEL_ASSIGN(const OpenDevice device, open_device(DeviceChoice{.missing_ops = "reference"}));
  CORBEL_ASSIGN(const LoadedModel loaded, load_text_model(report.package, *device.device, linked_model_families()));
  report.model = loaded.model->info();
  report.longest_context = loaded.longest_context();
  report.cached_token_bytes = report.model->cache.bytes_per_page() / kPageTokens;
  return {};
}

/// Whether there is a tokenizer.
bool read_text_side(PackageReport& report) {
  const auto tokenizer = Tokenizer::load(report.package->files());
  if (tokenizer) {
    std::int64_t tokens = 0;
    for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id) tokens += tokenizer->has(id) ? 1 : 0;
    report.tokenizer = cat(tokens, " tokens, largest id ", tokenizer->vocab_size() - 1);
  } else {
    report.tokenizer = tokenizer.error().message;
  }
  const auto source = chat_template_source(report.package->files());
  if (!source) report.template_refusal = source.error().message;
  if (source) {
    for (const ChatTemplateSource::Named& named : source->templates) report.templates.push_back(named.name);
  }
  return tokenizer.has_value();
}

std::string limits_text(const ArtifactLimits& limits) {
  if (!limits.is_static) return "dynamic";
  return cat("static, context ", limits.context_tokens, " tokens, input ",
             limits.input_tokens > 0 ? limits.input_tokens : limits.context_tokens, " tokens");
}

using CertifiedTensors = std::map<std::string, double, std::less<>>;

/// What the certificate tells of each tensor that was quantized, in dB; nothing where it is in no form that is known.
std::optional<CertifiedTensors> certified_tensors(std::string_view certificate) {
  const auto read = parse_json(certificate, "certificate");
  if (!read || !read->is_object() || !read->contains("tensors") || !(*read)["tensors"].is_array()) return std::nullopt;
  CertifiedTensors found;
  for (const Json& tensor : (*read)["tensors"]) {
    if (!tensor.is_object() || !tensor.contains("sqnr_db") || !tensor["sqnr_db"].is_number()) continue;
    const bool named = tensor.contains("name") && tensor["name"].is_string();
    found[named ? tensor["name"].get<std::string>() : "unnamed"] = tensor["sqnr_db"].get<double>();
  }
  return found;
}

/// The worst tensor of those that were quantized; --tensors shows all, --json the whole text.
std::string certificate_summary(std::string_view certificate) {
  if (certificate.empty()) return "none";
  const auto certified = certified_tensors(certificate);
  if (!certified) return "not in a form that this version knows; --json shows it";
  if (certified->empty()) return "every tensor as its source has it";
  const auto worst = std::ranges::min_element(*certified, {}, &CertifiedTensors::value_type::second);
  return cat("SQNR of ", certified->size(), " quantized tensors at least ", decimals(worst->second, 2), " dB (",
             quote(worst->first), ")");
}

std::string artifact_text(const PackageReport& report) {
  const Artifact* artifact = report.package->artifact();
  if (artifact == nullptr) return {};
  const ArtifactProfile& profile = *report.package->profile();
  std::string text =
      field_line("layout", cat(artifact->manifest().layout_version, ", written by ", artifact->manifest().written_by,
                               ", target ", artifact->manifest().target));
  text += field_line("source", cat(profile.source, ", content ", profile.source_hash));
  std::string settings;
  for (const auto& [key, value] : profile.settings) settings += cat(settings.empty() ? "" : ", ", key, ' ', value);
  text += field_line("settings", settings.empty() ? "none" : settings);
  for (const ArtifactProfile& one : artifact->manifest().profiles) {
    text +=
        field_line("profile", cat(one.name, ": ", limits_text(one.limits),
                                  &one == &profile && artifact->manifest().profiles.size() > 1 ? " (shown here)" : ""));
  }
  return text + field_line("certificate", certificate_summary(artifact->certificate(profile)));
}

std::string model_text(const PackageReport& report) {
  if (!report.model) return field_line("architecture", report.model_refusal);
  const TextModelInfo& model = *report.model;
  std::string text = field_line("architecture", cat(model.architecture, " (family ", model.family, "), ", model.layers,
                                                    " layers, hidden ", model.hidden, ", vocabulary ", model.vocab));
  text += field_line("context", report.longest_context > 0 ? cat(report.longest_context, " tokens") : "not stated");
  return text + field_line("KV cache", cat(report.cached_token_bytes, " bytes per token, ",
                                           bytes_text(report.cached_token_bytes * 4096), " for 4096"));
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += cat(text.empty() ? "" : ", ", name);
  return text;
}

std::vector<std::string> format_cells(const FormatTotals& totals, const std::string& name) {
  return {name, std::to_string(totals.tensors), count_text(totals.values), bytes_text(totals.bytes),
          decimals(totals.bits_per_weight(), 3)};
}

std::string place_of(const PackageReport& report, const SourceTensor& tensor) {
  if (report.package->artifact() == nullptr) return tensor.file;
  const ArtifactTensor* entry = report.package->profile()->find_tensor(tensor.name);
  return std::to_string(report.package->artifact()->find_section(entry->section())->offset);
}

}  // namespace

Result<PackageReport> describe_package(std::shared_ptr<const ModelPackage> package) {
  PackageReport report{.package = std::move(package)};
  const Result<void> tensors = read_tensors(report);
  const bool has_tokenizer = read_text_side(report);
  if (!tensors && !has_tokenizer && !report.package->files().has("config.json")) return forward_failure(tensors);
  if (!tensors) report.unread.push_back(tensors.error().message);
  if (const auto model = read_model(report); !model) report.model_refusal = model.error().message;
  return report;
}

std::string report_text(const PackageReport& report) {
  std::string text =
      field_line("model", cat(report.package->description(), " (", package_kind_name(report.package->kind()), ")"));
  if (const Artifact* artifact = report.package->artifact(); artifact != nullptr)
    text += field_line("size", bytes_text(std::ssize(artifact->file().bytes())));
  text += artifact_text(report) + model_text(report);
  text += field_line("tokenizer", report.tokenizer);
  text += field_line("template", !report.template_refusal.empty() ? report.template_refusal
                                 : report.templates.empty()       ? "none: \"User: ... Assistant:\" lines"
                                                                  : joined(report.templates));
  text += field_line("files", joined(report.package->files().names()));
  for (const std::string& line : report.unread) text += field_line("not read", line);
  Table table({"format", ">tensors", ">parameters", ">bytes", ">bits/weight"});
  for (const FormatTotals& totals : report.formats) table.row(format_cells(totals, totals.format));
  if (report.formats.size() > 1) table.row(format_cells(report.total, "all"));
  return text + "\n" + table.text();
}

std::string tensors_text(const PackageReport& report) {
  const bool artifact = report.package->artifact() != nullptr;
  Table table(
      {"tensor", "format", "shape", ">bytes", ">bits/weight", artifact ? ">offset" : "file", artifact ? ">SQNR" : ""});
  std::optional<CertifiedTensors> certified;
  if (artifact) certified = certified_tensors(report.package->artifact()->certificate(*report.package->profile()));
  for (const SourceTensor& tensor : report.tensors) {
    const FormatTotals one{.values = tensor.shape.elements(), .bytes = std::ssize(tensor.bytes)};
    table.row({tensor.name, std::string(tensor.format->name), to_string(tensor.shape), std::to_string(one.bytes),
               decimals(one.bits_per_weight(), 3), place_of(report, tensor),
               certified && certified->contains(tensor.name) ? decimals(certified->at(tensor.name), 2) : ""});
  }
  return table.text();
}

Json tensors_json(const PackageReport& report) {
  Json list = Json::array();
  for (const SourceTensor& tensor : report.tensors) {
    const FormatTotals one{.values = tensor.shape.elements(), .bytes = std::ssize(tensor.bytes)};
    Json shape = Json::array();
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
    list.push_back({{"name", tensor.name},
                    {"format", std::string(tensor.format->name)},
                    {"shape", std::move(shape)},
                    {"bytes", one.bytes},
                    {"bits_per_weight", one.bits_per_weight()}});
    const bool artifact = report.package->artifact() != nullptr;
    list.back()[artifact ? "offset" : "file"] =
        artifact ? Json(std::stoll(place_of(report, tensor))) : Json(place_of(report, tensor));
  }
  return list;
}

Json report_json(const PackageReport& report) {
  Json json = {{"model", report.package->description()},
               {"kind", std::string(package_kind_name(report.package->kind()))}};
  if (const Artifact* artifact = report.package->artifact(); artifact != nullptr) {
    json["file_bytes"] = std::ssize(artifact->file().bytes());
    json["profile"] = report.package->profile()->name;
    auto manifest = parse_json(manifest_text(artifact->manifest()), "manifest");
    for (Json& profile : (*manifest)["profiles"]) profile.erase("tensors");
    json["manifest"] = *std::move(manifest);
    const std::string_view certificate = artifact->certificate(*report.package->profile());
    auto read = parse_json(certificate, "certificate");
    json["certificate"] = certificate.empty() ? Json() : read ? *std::move(read) : Json(std::string(certificate));
  }
  Json formats = Json::array();
  for (const FormatTotals& totals : report.formats)
    formats.push_back({{"format", totals.format},
                       {"tensors", totals.tensors},
                       {"parameters", totals.values},
                       {"bytes", totals.bytes},
                       {"bits_per_weight", totals.bits_per_weight()}});
  json["parameters"] = report.total.values;
  json["weight_bytes"] = report.total.bytes;
  json["bits_per_weight"] = report.total.bits_per_weight();
  json["formats"] = std::move(formats);
  if (report.model) {
    json["architecture"] = report.model->architecture;
    json["family"] = report.model->family;
    json["layers"] = report.model->layers;
    json["hidden"] = report.model->hidden;
    json["vocabulary"] = report.model->vocab;
    json["context_tokens"] = report.longest_context;
    json["kv_bytes_per_token"] = report.cached_token_bytes;
  } else {
    json["refused"] = report.model_refusal;
  }
  json["tokenizer"] = report.tokenizer;
  json["templates"] = report.templates;
  json["files"] = report.package->files().names();
  json["not_read"] = report.unread;
  return json;
}

}  // namespace corbel::app
