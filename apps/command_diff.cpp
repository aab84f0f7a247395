#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/environment.h"
#include "apps/table.h"
#include "apps/terminal.h"

namespace corbel::app {

int run_diff(const std::vector<std::string>& arguments);

namespace {

struct DiffFlags {
  std::vector<std::string> models;
  bool json = false;
};

/// A field of config.json, or a file, that differs.
struct FieldDifference {
  std::string name;
  std::string a, b;  // JSON; "absent" where it is not there
};

struct TensorDifference {
  std::string name;
  std::string a, b;                  // "w4g16 [2048, 2048]", or "absent"
  std::optional<double> difference;  // relative L2 distance, where the shapes are the same
};

struct Differences {
  std::vector<FieldDifference> fields;
  std::vector<TensorDifference> tensors;
  std::int64_t equal_tensors = 0;
  bool none() const { return fields.empty() && tensors.empty(); }
};

std::string shown(const Json& object, const std::string& key) {
  return object.is_object() && object.contains(key) ? object[key].dump() : std::string("absent");
}

Result<void> compare_configs(const ModelPackage& a, const ModelPackage& b, Differences& differences) {
  CORBEL_ASSIGN(const Json config_a, a.files().require_json("config.json"));
  CORBEL_ASSIGN(const Json config_b, b.files().require_json("config.json"));
  std::vector<std::string> keys;
  for (const Json* config : {&config_a, &config_b}) {
    for (const auto& [key, value] : config->items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    FieldDifference field{cat("config.json ", key), shown(config_a, key), shown(config_b, key)};
    if (field.a != field.b) differences.fields.push_back(std::move(field));
  }
  return {};
}

/// Other files: whether they are the same.
Result<void> compare_files(const ModelPackage& a, const ModelPackage& b, Differences& differences) {
  CORBEL_ASSIGN(const auto files_a, files_to_carry(a.files()));
  CORBEL_ASSIGN(const auto files_b, files_to_carry(b.files()));
  std::map<std::string, std::array<std::string, 2>> bytes;
  for (const ArtifactPlan::File& file : files_a) bytes[file.name][0] = file.bytes;
  for (const ArtifactPlan::File& file : files_b) bytes[file.name][1] = file.bytes;
  for (const auto& [name, content] : bytes) {
    if (name == "config.json" || content[0] == content[1]) continue;
    const auto told = [&](const NamedFiles& files, const std::string& text) {
      return files.has(name) ? cat(text.size(), " bytes ", to_string(checksum_of(text)).substr(0, 8))
                             : std::string("absent");
    };
    differences.fields.push_back({name, told(a.files(), content[0]), told(b.files(), content[1])});
  }
  return {};
}

std::string told(const std::optional<SourceTensor>& tensor) {
  return tensor ? cat(tensor->format->name, ' ', tensor->shape) : std::string("absent");
}

/// |a - b| / |a| over all values.
double relative_difference(const SourceTensor& a, const SourceTensor& b) {
  const std::int64_t columns = a.shape.rank() == 0 ? 1 : a.shape[a.shape.rank() - 1];
  const std::int64_t rows = columns == 0 ? 0 : a.shape.elements() / columns;
  // A stack of matrices is stored one behind the other.
  const std::int64_t height = a.shape.rank() < 2 ? rows : a.shape[a.shape.rank() - 2];
  std::vector<float> row_a(static_cast<std::size_t>(columns)), row_b(static_cast<std::size_t>(columns));
  double distance = 0.0;
  double size = 0.0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto decode = [&](const SourceTensor& tensor, std::vector<float>& values) {
      const std::int64_t matrix = row / height * tensor.format->matrix_bytes(height, columns);
      tensor.format->decode_row(tensor.bytes.data() + matrix, columns, row % height, values.data());
    };
    decode(a, row_a);
    decode(b, row_b);
    for (std::size_t i = 0; i < row_a.size(); ++i) {
      const double gap = static_cast<double>(row_a[i]) - static_cast<double>(row_b[i]);
      distance += gap * gap;
      size += static_cast<double>(row_a[i]) * static_cast<double>(row_a[i]);
    }
  }
  return distance == 0.0 ? 0.0 : std::sqrt(distance / size);
}

/// The stored checksums of an artifact's tensor; empty for other packages.
std::span<const Checksum> checksums_of(const ModelPackage& package, const std::string& tensor) {
  if (package.artifact() == nullptr) return {};
  const ArtifactTensor* entry = package.profile()->find_tensor(tensor);
  return package.artifact()->checksums(*package.artifact()->find_section(entry->section()));
}

bool is_equal(const ModelPackage& a, const SourceTensor& tensor_a, const ModelPackage& b,
              const SourceTensor& tensor_b) {
  if (tensor_a.format != tensor_b.format || !(tensor_a.shape == tensor_b.shape)) return false;
  const auto sums_a = checksums_of(a, tensor_a.name);
  const auto sums_b = checksums_of(b, tensor_b.name);
  if (!sums_a.empty() && !sums_b.empty()) return std::ranges::equal(sums_a, sums_b);
  return std::ranges::equal(tensor_a.bytes, tensor_b.bytes);
}

Result<void> compare_tensors(const ModelPackage& a, const ModelPackage& b, Differences& differences) {
  CORBEL_ASSIGN(const auto source_a, a.tensors());
  CORBEL_ASSIGN(const auto source_b, b.tensors());
  std::set<std::string> names;
  for (const auto& source : {source_a, source_b}) {
    for (std::string& name : source->names()) names.insert(std::move(name));
  }
  for (const std::string& name : names) {
    const auto tensor_a = source_a->find(name);
    const auto tensor_b = source_b->find(name);
    if (!tensor_a && !tensor_b) continue;  // no weights
    if (tensor_a && tensor_b && is_equal(a, *tensor_a, b, *tensor_b)) {
      ++differences.equal_tensors;
      continue;
    }
    TensorDifference one{name, told(tensor_a), told(tensor_b), std::nullopt};
    if (tensor_a && tensor_b && tensor_a->shape == tensor_b->shape)
      one.difference = relative_difference(*tensor_a, *tensor_b);
    differences.tensors.push_back(std::move(one));
  }
  return {};
}

std::string number(const std::optional<double>& value) {
  if (!value) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3e", *value);
  return text;
}

std::string differences_text(const Differences& differences) {
  std::string text;
  if (!differences.fields.empty()) {
    Table table({"field", "A", "B"});
    const auto cut = [](const std::string& value) { return value.size() > 60 ? value.substr(0, 57) + "..." : value; };
    for (const FieldDifference& field : differences.fields) table.row({field.name, cut(field.a), cut(field.b)});
    text += table.text() + "\n";
  }
  if (!differences.tensors.empty()) {
    Table table({"tensor", "A", "B", ">relative difference"});
    for (const TensorDifference& one : differences.tensors) table.row({one.name, one.a, one.b, number(one.difference)});
    text += table.text() + "\n";
  }
  return cat(text, differences.equal_tensors, " tensors are equal, ", differences.tensors.size(), " differ\n");
}

Json differences_json(const Differences& differences) {
  Json fields = Json::array();
  for (const FieldDifference& field : differences.fields)
    fields.push_back({{"name", field.name}, {"a", field.a}, {"b", field.b}});
  Json tensors = Json::array();
  for (const TensorDifference& one : differences.tensors)
    tensors.push_back({{"name", one.name},
                       {"a", one.a},
                       {"b", one.b},
                       {"relative_difference", one.difference ? Json(*one.difference) : Json()}});
  return {{"equal", differences.none()},
          {"equal_tensors", differences.equal_tensors},
          {"fields", std::move(fields)},
          {"tensors", std::move(tensors)}};
}

Result<Differences> compare(const DiffFlags& flags) {
  CORBEL_ASSIGN(const auto a, find_package(flags.models[0]));
  CORBEL_ASSIGN(const auto b, find_package(flags.models[1]));
  Differences differences;
  CORBEL_TRY(compare_configs(*a, *b, differences));
  CORBEL_TRY(compare_files(*a, *b, differences));
  CORBEL_TRY(compare_tensors(*a, *b, differences));
  return differences;
}

}  // namespace

int run_diff(const std::vector<std::string>& arguments) {
  DiffFlags flags;
  CommandLine line("diff",
                   "Compares two models: config, files, formats and values. Exit code 0 when they are equal, else 1.");
  line.positionals("models", flags.models, "two artifacts, folders or GGUF files");
  line.toggle("--json", flags.json, "for machines");
  line.example("corbel diff ~/models/Llama-3.2-1B-Instruct model.corbel");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.models.size() != 2) {
    print_error(cat("corbel diff A B compares two models; found ", flags.models.size()));
    return kWrongUsage;
  }
  const auto differences = compare(flags);
  if (!differences) return report(differences.error());
  const std::string text =
      flags.json ? differences_json(*differences).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                 : differences_text(*differences);
  return print(text) && differences->none() ? kOk : kFailed;
}

}  // namespace corbel::app
