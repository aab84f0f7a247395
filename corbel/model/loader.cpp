#include "corbel/model/loader.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

std::string known_architectures(std::span<const ModelFamily> families) {
  std::string list;
  for (const ModelFamily& family : families) {
    for (const std::string_view architecture : family.architectures)
      list += cat(list.empty() ? "" : ", ", architecture);
  }
  return list;
}

/// Reads what one of the two files says; what `defaults` has already is kept.
Result<void> read_defaults(const JsonFields& fields, GenerationDefaults& defaults) {
  constexpr std::int64_t kMaxToken = std::int64_t{1} << 31;
  if (defaults.eos_ids.empty()) {
    CORBEL_ASSIGN(defaults.eos_ids, fields.get_ints("eos_token_id"));
  }
  const auto number = [&](std::string_view key, std::optional<double>& value) -> Result<void> {
    if (value || !fields.has(key)) return {};
    CORBEL_ASSIGN(value, fields.require_number(key));
    return {};
  };
  const auto integer = [&](std::string_view key, std::optional<std::int64_t>& value) -> Result<void> {
    if (value || !fields.has(key)) return {};
    CORBEL_ASSIGN(value, fields.require_int(key, 0, kMaxToken));
    return {};
  };
  CORBEL_TRY(number("temperature", defaults.temperature));
  CORBEL_TRY(number("top_p", defaults.top_p));
  CORBEL_TRY(number("min_p", defaults.min_p));
  CORBEL_TRY(number("repetition_penalty", defaults.repetition_penalty));
  CORBEL_TRY(integer("top_k", defaults.top_k));
  CORBEL_TRY(integer("max_new_tokens", defaults.max_new_tokens));
  if (!defaults.do_sample && fields.has("do_sample")) {
    CORBEL_ASSIGN(defaults.do_sample, fields.get_bool("do_sample", false));
  }
  // bos may be given as a list by some configs; its first entry counts.
  if (!defaults.bos_id) {
    CORBEL_ASSIGN(const auto bos, fields.get_ints("bos_token_id"));
    if (!bos.empty()) defaults.bos_id = bos.front();
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TextModel>> make_text_model(const Json& config, const std::string& source,
                                                   std::shared_ptr<const TensorSource> tensors, const Device& device,
                                                   std::span<const ModelFamily> families, const ModelOptions& options) {
  const JsonFields fields(config, source);
  CORBEL_ASSIGN(const auto architectures, fields.get_strings("architectures"));
  for (const std::string& architecture : architectures) {
    for (const ModelFamily& family : families) {
      if (std::find(family.architectures.begin(), family.architectures.end(), architecture) ==
          family.architectures.end())
        continue;
      return family.make({fields, architecture, std::move(tensors), options}, device);
    }
  }
  const std::string found = architectures.empty() ? std::string("missing") : cat('"', architectures.front(), '"');
  return fail(Code::unsupported,
              cat(source, ": \"architectures\" is ", found, "; known: ", known_architectures(families),
                  ". A new one is a folder under models/: tools/new.py model NAME (CONTRIBUTING.md)"));
}

std::int64_t LoadedModel::longest_context() const {
  const std::int64_t made_for = model->info().max_positions;
  const ArtifactProfile* profile = package->profile();
  if (profile == nullptr || !profile->limits.is_static) return made_for;
  return made_for > 0 ? std::min(made_for, profile->limits.context_tokens) : profile->limits.context_tokens;
}

std::string LoadedModel::context_reason() const {
  const bool by_profile = longest_context() != model->info().max_positions;
  if (!by_profile) return "the model was made for at most";
  return cat("the static profile ", quote(package->profile()->name), " of ", package->name(),
             " was compiled for at most");
}

Result<ModelOptions> with_profile(const ModelPackage& package, const ModelOptions& options) {
  const ArtifactProfile* const profile = package.profile();
  if (options.kv_cache || profile == nullptr) return options;
  const auto setting = profile->settings.find("kv_cache");
  if (setting == profile->settings.end()) return options;
  ModelOptions complete = options;
  for (const CacheType& type : cache_types()) {
    if (type.name == setting->second) complete.kv_cache = type.dtype;
  }
  if (complete.kv_cache) return complete;
  return fail(Code::bad_file, cat(package.name(), ": \"kv_cache\" of profile ", quote(profile->name), " is ",
                                  quote(setting->second), "; known: \"f32\", \"bf16\", \"int8\""));
}

Result<LoadedModel> load_text_model(const std::filesystem::path& path, const Device& device,
                                    std::span<const ModelFamily> families, const ModelOptions& options) {
  CORBEL_ASSIGN(std::shared_ptr<const ModelPackage> package, open_model_package(path));
  return load_text_model(std::move(package), device, families, options);
}

Result<LoadedModel> load_text_model(std::shared_ptr<const ModelPackage> package, const Device& device,
                                    std::span<const ModelFamily> families, const ModelOptions& options) {
  constexpr const char* kConfig = "config.json";
  constexpr const char* kGeneration = "generation_config.json";
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded{.package = std::move(package)};
  const NamedFiles& files = loaded.package->files();
  CORBEL_ASSIGN(const Json config, files.require_json(kConfig));
  CORBEL_ASSIGN(std::shared_ptr<const TensorSource> tensors, loaded.package->tensors());
  CORBEL_ASSIGN(const ModelOptions complete, with_profile(*loaded.package, options));
  CORBEL_ASSIGN(loaded.model,
                make_text_model(config, files.where(kConfig), std::move(tensors), device, families, complete));
  if (files.has(kGeneration)) {
    CORBEL_ASSIGN(const Json generation, files.require_json(kGeneration));
    CORBEL_TRY(read_defaults(JsonFields(generation, files.where(kGeneration)), loaded.defaults));
  }
  CORBEL_TRY(read_defaults(JsonFields(config, files.where(kConfig)), loaded.defaults));
  if (const ArtifactProfile* profile = loaded.package->profile(); profile != nullptr && profile->limits.is_static)
    loaded.defaults.input_tokens = profile->limits.input_tokens;
  loaded.load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

}  // namespace corbel
