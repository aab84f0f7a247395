// quality_bench REFERENCE TEXT [--model PATH | --encode FORMAT] [--exact] [--kv-cache TYPE] [--context N] [--tokens N]:
// how far a model's answers are from the reference's. Both read the text of file TEXT in windows of N tokens;
// statistics as JSON.
//   REFERENCE  folder of the checkpoint; it runs in f32 arithmetic
//   --model    another model of the same vocabulary: a folder or whatever else the loader reads
//   --encode   the reference with every matrix in this format, by the format's plain encoder
//   --exact    f32 arithmetic for the model, too: the error of its weights alone
//   --kv-cache the model's cache: f32, bf16, int8. With --exact: the error of the cache alone
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "corbel/base/mapped_file.h"
#include "corbel/device/device_list.h"
#include "corbel/format/hf_folder.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "corbel/text/tokenizer.h"
#include "corbel/verify/answer_difference.h"

namespace {

using namespace corbel;

struct Settings {
  std::string reference, text, model, encode, kv_cache;
  bool exact = false;
  std::int64_t context_tokens = 512;
  std::int64_t tokens = 8192;
};

/// A checkpoint with its matrices in another format, encoded when they are first asked for.
class EncodedSource final : public TensorSource {
 public:
  EncodedSource(std::shared_ptr<const TensorSource> base, const WeightFormat& format)
      : base_(std::move(base)), format_(format) {}
  std::optional<SourceTensor> find(std::string_view name) const override {
    std::optional<SourceTensor> tensor = base_->find(name);
    if (!tensor || tensor->shape.rank() != 2) return tensor;
    const std::int64_t rows = tensor->shape[0], columns = tensor->shape[1];
    if (format_.packed == nullptr && columns % format_.block_values != 0) return tensor;
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& memory = encoded_[std::string(name)];
    const auto bytes = static_cast<std::size_t>(format_.matrix_bytes(rows, columns));
    if (memory.data() == nullptr) {
      auto allocated = allocate_host_memory(bytes);
      if (!allocated) return std::nullopt;
      memory = *std::move(allocated);
      std::vector<float> values(static_cast<std::size_t>(rows * columns));
      for (std::int64_t row = 0; row < rows; ++row)
        tensor->format->decode_row(tensor->bytes.data(), columns, row, values.data() + row * columns);
      format_.encode_matrix(values.data(), rows, columns, memory.data());
    }
    tensor->bytes = {memory.data(), bytes};
    tensor->format = &format_;
    return tensor;
  }
  std::string describe(std::string_view name) const override { return base_->describe(name); }
  std::vector<std::string> names() const override { return base_->names(); }
  std::string description() const override { return base_->description(); }

 private:
  std::shared_ptr<const TensorSource> base_;
  const WeightFormat& format_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, MemoryBlock> encoded_;
};

/// Signal to noise of a model's matrices against the reference's, tensor by tensor.
struct WeightNoise {
  double signal = 0.0, noise = 0.0;  // sums of squares over all matrices
  double worst_db = std::numeric_limits<double>::infinity();
  std::string worst_tensor;

  static double db(double signal, double noise) { return noise > 0.0 ? 10.0 * std::log10(signal / noise) : 200.0; }
};

WeightNoise weight_noise(const TensorSource& reference, const TensorSource& model) {
  WeightNoise all;
  for (const std::string& name : reference.names()) {
    const auto expected = reference.find(name), actual = model.find(name);
    if (!expected || !actual || expected->shape.rank() != 2 || !(expected->shape == actual->shape)) continue;
    const std::int64_t rows = expected->shape[0], columns = expected->shape[1];
    std::vector<float> x(static_cast<std::size_t>(columns)), y(x.size());
    double signal = 0.0, noise = 0.0;
    for (std::int64_t row = 0; row < rows; ++row) {
      expected->format->decode_row(expected->bytes.data(), columns, row, x.data());
      actual->format->decode_row(actual->bytes.data(), columns, row, y.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        signal += static_cast<double>(x[i]) * x[i];
        noise += (static_cast<double>(y[i]) - x[i]) * (static_cast<double>(y[i]) - x[i]);
      }
    }
    all.signal += signal;
    all.noise += noise;
    if (const double db = WeightNoise::db(signal, noise); db < all.worst_db) {
      all.worst_db = db;
      all.worst_tensor = name;
    }
  }
  return all;
}

/// A model, and where its weights are.
struct Subject {
  std::unique_ptr<TextModel> model;
  std::shared_ptr<const TensorSource> weights;
};

Result<Subject> open_subject(const Settings& settings, bool is_reference, Device& device) {
  const bool exact = is_reference || settings.exact;
  ModelOptions options{exact ? Strategy::accuracy : Strategy::balanced};
  for (const CacheType& type : cache_types()) {
    if (!is_reference && type.name == settings.kv_cache) options.kv_cache = type.dtype;
  }
  const auto families = linked_model_families();
  const std::string path = is_reference || settings.model.empty() ? settings.reference : settings.model;
  Subject subject;
  if (!is_reference && !settings.encode.empty()) {
    CORBEL_ASSIGN(const WeightFormat* format, find_weight_format(settings.encode));
    CORBEL_ASSIGN(auto folder, open_hf_folder(path));
    subject.weights = std::make_shared<EncodedSource>(std::move(folder), *format);
    const std::string config_path = path + "/config.json";
    CORBEL_ASSIGN(const Json config, read_json_file(config_path));
    CORBEL_ASSIGN(subject.model, make_text_model(config, config_path, subject.weights, device, families, options));
  } else {
    CORBEL_ASSIGN(LoadedModel loaded, load_text_model(path, device, families, options));
    subject.model = std::move(loaded.model);
    CORBEL_ASSIGN(subject.weights, loaded.package->tensors());
  }
  return subject;
}

Json report(const AnswerDifference& answers, const Subject& reference, const Subject& model) {
  Json json = to_json(answers);
  json["parameters"] = model.model->info().parameters;
  json["weight_bytes"] = model.model->info().weight_bytes;
  json["reference_bytes"] = reference.model->info().weight_bytes;
  const WeightNoise noise = weight_noise(*reference.weights, *model.weights);
  json["sqnr_db"] = WeightNoise::db(noise.signal, noise.noise);
  json["worst_sqnr_db"] = noise.worst_db;
  json["worst_tensor"] = noise.worst_tensor;
  return json;
}

Result<Json> measure(const Settings& settings) {
  CORBEL_ASSIGN(const auto pool, ThreadPool::make(usable_processors()));
  const DeviceEntry entry = linked_devices().front();
  CORBEL_ASSIGN(const auto device, entry.make({.missing_ops = MissingOps::reference}, *pool));
  CORBEL_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(settings.reference));
  CORBEL_ASSIGN(const MappedFile file, MappedFile::open(settings.text));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  CORBEL_ASSIGN(std::vector<std::int32_t> ids, tokenizer.encode(text, {.invalid_utf8 = InvalidUtf8::replace}));
  ids.resize(std::min(ids.size(), static_cast<std::size_t>(settings.tokens)));
  CORBEL_ASSIGN(Subject reference, open_subject(settings, true, *device));
  CORBEL_ASSIGN(Subject model, open_subject(settings, false, *device));
  CORBEL_ASSIGN(const AnswerDifference answers,
                compare_answers(*reference.model, *model.model, *device, ids, settings.context_tokens));
  Json json = report(answers, reference, model);
  json["profile"] = device->info().profile();
  json["arithmetic"] = settings.exact ? "f32" : "the format's";
  return json;
}

std::optional<Settings> read_arguments(int count, char** arguments) {
  Settings settings;
  std::vector<std::string> names;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    const bool has_value = i + 1 < count;
    if (argument == "--exact") {
      settings.exact = true;
    } else if (argument == "--model" && has_value) {
      settings.model = arguments[++i];
    } else if (argument == "--encode" && has_value) {
      settings.encode = arguments[++i];
    } else if (argument == "--kv-cache" && has_value) {
      settings.kv_cache = arguments[++i];
    } else if (argument == "--context" && has_value) {
      settings.context_tokens = std::atoll(arguments[++i]);
    } else if (argument == "--tokens" && has_value) {
      settings.tokens = std::atoll(arguments[++i]);
    } else {
      names.push_back(argument);
    }
  }
  if (names.size() != 2 || settings.context_tokens < 2 || settings.tokens < 2) return std::nullopt;
  settings.reference = names[0];
  settings.text = names[1];
  return settings;
}

}  // namespace

int main(int count, char** arguments) {
  const auto settings = read_arguments(count, arguments);
  if (!settings) {
    std::fprintf(stderr,
                 "usage: %s REFERENCE TEXT [--model PATH | --encode FORMAT] [--exact] [--kv-cache TYPE] [--context N] "
                 "[--tokens N]\n",
                 arguments[0]);
    return 2;
  }
  const auto json = measure(*settings);
  if (!json) {
    std::fprintf(stderr, "%s\n", json.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", json->dump(1).c_str());
  return 0;
}
