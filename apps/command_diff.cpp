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
#include "apps/device_setup.h"
#include "apps/environment.h"
#include "apps/number_text.h"
#include "apps/table.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/compile/calibration.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "corbel/text/tokenizer.h"
#include "corbel/verify/answer_difference.h"

namespace corbel::app {

int run_diff(const std::vector<std::string>& arguments);

namespace {

constexpr std::int64_t kTextTokens = 4096;

struct DiffFlags {
  std::vector<std::string> models;
  std::string text;  // empty: answers are not compared
  std::optional<std::int64_t> tokens;
  bool json = false;
  DeviceChoice device;
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
  std::optional<AnswerDifference> answers;
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

/// By their bytes: an artifact's checksums tell what was written, and not what damage made of it.
bool is_equal(const SourceTensor& a, const SourceTensor& b) {
  return a.format == b.format && a.shape == b.shape && std::ranges::equal(a.bytes, b.bytes);
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
    if (tensor_a && tensor_b && is_equal(*tensor_a, *tensor_b)) {
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

Result<std::vector<std::int32_t>> read_text(const DiffFlags& flags, const ModelPackage& package) {
  CORBEL_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(package.files()));
  std::optional<MappedFile> file;
  std::string_view text = built_in_calibration_text();
  if (flags.text != "builtin") {
    CORBEL_ASSIGN(file, MappedFile::open(flags.text));
    text = {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
  }
  auto ids = tokenizer.encode(text, {.add_special_tokens = true, .parse_special = true});
  if (!ids) return forward_failure(ids, cat(flags.text, ": --text is plain text"));
  ids->resize(std::min(ids->size(), static_cast<std::size_t>(flags.tokens.value_or(kTextTokens))));
  return ids;
}

/// A in f32 arithmetic, which is what the other one is held against; B as it runs.
Result<void> compare_texts(const DiffFlags& flags, const std::shared_ptr<const ModelPackage>& a,
                           const std::shared_ptr<const ModelPackage>& b, Differences& differences) {
  if (flags.text.empty()) return {};
  constexpr std::int64_t kWindowTokens = 512;
  CORBEL_ASSIGN(const OpenDevice open, open_device(flags.device));
  CORBEL_ASSIGN(const std::vector<std::int32_t> ids, read_text(flags, *a));
  const auto families = linked_model_families();
  CORBEL_ASSIGN(const LoadedModel model_a,
                load_text_model(a, *open.device, families, {Strategy::accuracy, DType::f32}));
  CORBEL_ASSIGN(
      const LoadedModel model_b,
      load_text_model(b, *open.device, families, {flags.device.chosen_strategy(), flags.device.chosen_kv_cache()}));
  std::int64_t window = kWindowTokens;
  for (const LoadedModel* model : {&model_a, &model_b}) {
    if (model->longest_context() > 0) window = std::min(window, model->longest_context());
  }
  CORBEL_ASSIGN(differences.answers, compare_answers(*model_a.model, *model_b.model, *open.device, ids, window));
  return {};
}

std::string number(const std::optional<double>& value) {
  if (!value) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3e", *value);
  return text;
}

std::string answers_text(const AnswerDifference& answers) {
  return field_line("text", cat(answers.rows, " tokens; A in f32 arithmetic, B as it runs")) +
         field_line("KL(A || B)",
                    format("%.5f nats, standard error %.5f; median %.5f, 99th percentile %.4f, largest %.3f",
                           answers.kl_mean, answers.kl_mean_error, answers.kl_median, answers.kl_p99, answers.kl_max)) +
         field_line("top-1", format("%.2f%% of tokens have the same likeliest successor", 100.0 * answers.top1)) +
         field_line("perplexity", format("A %.4f, B %.4f", answers.expected_perplexity, answers.perplexity));
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
  text += cat(differences.equal_tensors, " tensors are equal, ", differences.tensors.size(), " differ\n");
  return differences.answers ? text + "\n" + answers_text(*differences.answers) : text;
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
  Json json = {{"equal", differences.none()},
               {"equal_tensors", differences.equal_tensors},
               {"fields", std::move(fields)},
               {"tensors", std::move(tensors)}};
  if (differences.answers) json["answers"] = to_json(*differences.answers);
  return json;
}

Result<Differences> compare(const DiffFlags& flags) {
  CORBEL_ASSIGN(const auto a, find_package(flags.models[0]));
  CORBEL_ASSIGN(const auto b, find_package(flags.models[1]));
  Differences differences;
  CORBEL_TRY(compare_configs(*a, *b, differences));
  CORBEL_TRY(compare_texts(flags, a, b, differences));
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
  line.text("--text", flags.text,
            "also read this text with both and compare what they answer (KL, top-1, perplexity); or \"builtin\"");
  line.integer("--tokens", flags.tokens, "at most so many tokens of it (default 4096)");
  line.toggle("--json", flags.json, "for machines");
  flags.device.add_flags(line);
  line.example("corbel diff ~/models/Llama-3.2-1B-Instruct model.corbel");
  line.example("corbel diff ~/models/Llama-3.2-1B-Instruct model.corbel --text notes.txt");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.models.size() != 2) {
    print_error(cat("corbel diff A B compares two models; found ", flags.models.size()));
    return kWrongUsage;
  }
  if (flags.tokens.value_or(2) < 2) {
    print_error(cat("--tokens is ", *flags.tokens, "; comparing answers takes 2 or more"));
    return kWrongUsage;
  }
  if (const auto valid = flags.device.validate(); !valid) {
    print_error(valid.error().message);
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
