#include "corbel/format/artifact_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/format/packed_format.h"

namespace corbel {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 62;

Json sizes_json(const Shape& shape) {
  Json sizes = Json::array();
  for (int axis = 0; axis < shape.rank(); ++axis) sizes.push_back(shape[axis]);
  return sizes;
}

Json profile_json(const ArtifactProfile& profile) {
  Json limits = {{"kind", profile.limits.is_static ? "static" : "dynamic"}};
  if (profile.limits.is_static) {
    limits["context_tokens"] = profile.limits.context_tokens;
    limits["input_tokens"] = profile.limits.input_tokens;
  }
  Json settings = Json::object();
  for (const auto& [key, value] : profile.settings) settings[key] = value;
  Json files = Json::object();
  for (const ArtifactFileEntry& file : profile.files) {
    files[file.name] = Json::array({file.bytes});
    if (!file.stored.empty()) files[file.name].push_back(file.stored);
  }
  Json tensors = Json::object();
  for (const ArtifactTensor& tensor : profile.tensors) {
    Json entry = Json::array({std::string(tensor.format->name), sizes_json(tensor.shape)});
    if (!tensor.stored.empty()) entry.push_back(tensor.stored);
    tensors.push_back({tensor.name, std::move(entry)});
  }
  return {{"name", profile.name},
          {"limits", std::move(limits)},
          {"source", profile.source},
          {"source_hash", profile.source_hash},
          {"settings", std::move(settings)},
          {"certificate", profile.has_certificate},
          {"files", std::move(files)},
          {"tensors", std::move(tensors)}};
}

Result<ArtifactTensor> read_tensor(const std::string& name, const Json& entry, const std::string& what) {
  const bool well_formed = entry.is_array() && (entry.size() == 2 || entry.size() == 3) && entry[0].is_string() &&
                           entry[1].is_array() && (entry.size() == 2 || entry[2].is_string());
  if (!well_formed) return fail(Code::bad_file, cat(what, ": expected [format, sizes] or [format, sizes, section]"));
  ArtifactTensor tensor{.name = name};
  auto format = find_weight_format(entry[0].get_ref<const std::string&>());
  if (!format) return forward_failure(format, what);
  tensor.format = *format;
  if (entry[1].size() > Shape::kMaxRank)
    return fail(Code::bad_file, cat(what, " has ", entry[1].size(), " sizes, at most ", Shape::kMaxRank, " are read"));
  std::vector<std::int64_t> sizes;
  for (const Json& size : entry[1]) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > kMostBytes)
      return fail(Code::bad_file, cat(what, " has a size that is no count"));
    sizes.push_back(size.get<std::int64_t>());
  }
  tensor.shape = Shape(sizes);
  if (entry.size() == 3) tensor.stored = entry[2].get_ref<const std::string&>();
  return tensor;
}

Result<ArtifactLimits> read_limits(const JsonFields& fields) {
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 31;
  CORBEL_ASSIGN(const std::string kind, fields.require_string("kind"));
  if (kind == "dynamic") return ArtifactLimits{};
  if (kind != "static")
    return fail(Code::bad_file,
                cat(fields.source(), ": \"kind\" is ", quote(kind), "; known: \"dynamic\", \"static\""));
  ArtifactLimits limits{.is_static = true};
  CORBEL_ASSIGN(limits.context_tokens, fields.require_int("context_tokens", 1, kMostTokens));
  CORBEL_ASSIGN(limits.input_tokens, fields.require_int("input_tokens", 0, limits.context_tokens));
  return limits;
}

Result<std::vector<ArtifactFileEntry>> read_files(const JsonFields& fields) {
  std::vector<ArtifactFileEntry> files;
  for (const auto& [name, entry] : fields.json().get_ref<const Json::object_t&>()) {
    const bool well_formed = entry.is_array() && (entry.size() == 1 || entry.size() == 2) &&
                             entry[0].is_number_unsigned() && entry[0].get<std::uint64_t>() <= kMostBytes &&
                             (entry.size() == 1 || entry[1].is_string());
    if (!well_formed)
      return fail(Code::bad_file, cat(fields.source(), ": file ", quote(name), " must be [bytes] or [bytes, section]"));
    files.push_back({name, entry[0].get<std::int64_t>(), entry.size() == 2 ? entry[1].get<std::string>() : ""});
  }
  return files;
}

Result<ArtifactProfile> read_profile(const Json& json, const std::string& source) {
  const JsonFields fields(json, source);
  ArtifactProfile profile;
  CORBEL_ASSIGN(profile.name, fields.require_string("name"));
  CORBEL_ASSIGN(profile.source, fields.get_string("source", ""));
  CORBEL_ASSIGN(profile.source_hash, fields.get_string("source_hash", ""));
  CORBEL_ASSIGN(profile.has_certificate, fields.get_bool("certificate", false));
  for (const char* key : {"limits", "settings", "files", "tensors"}) {
    if (!fields.has(key) || !json[key].is_object())
      return fail(Code::bad_file, cat(source, ": profile ", quote(profile.name), " has no \"", key, "\""));
  }
  CORBEL_ASSIGN(const JsonFields limits, fields.object("limits"));
  CORBEL_ASSIGN(profile.limits, read_limits(limits));
  for (const auto& [key, value] : json["settings"].get_ref<const Json::object_t&>()) {
    if (!value.is_string()) return fail(Code::bad_file, cat(source, ": setting ", quote(key), " is no string"));
    profile.settings.emplace(key, value.get_ref<const std::string&>());
  }
  CORBEL_ASSIGN(const JsonFields files, fields.object("files"));
  CORBEL_ASSIGN(profile.files, read_files(files));
  for (const auto& [name, entry] : json["tensors"].get_ref<const Json::object_t&>()) {
    CORBEL_ASSIGN(ArtifactTensor tensor, read_tensor(name, entry, cat(source, ": tensor ", quote(name))));
    profile.tensors.push_back(std::move(tensor));
  }
  return profile;
}

}  // namespace

const ArtifactTensor* ArtifactProfile::find_tensor(std::string_view tensor) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& entry) { return entry.name == tensor; });
  return found == tensors.end() ? nullptr : &*found;
}

std::string ArtifactFileEntry::section() const { return stored.empty() ? file_section(name) : stored; }

const ArtifactProfile* ArtifactManifest::find_profile(std::string_view name) const {
  const auto found =
      std::find_if(profiles.begin(), profiles.end(), [&](const auto& entry) { return entry.name == name; });
  return found == profiles.end() ? nullptr : &*found;
}

std::string file_section(std::string_view name) { return cat("corbel.file/", name); }
std::string certificate_section(std::string_view profile) { return cat("corbel.certificate/", profile); }

Result<std::int64_t> stored_bytes(const WeightFormat& format, const Shape& shape, std::string_view what) {
  const auto refuse = [&](std::string_view why) {
    return fail(Code::bad_file, cat(what, " cannot be ", format.name, ' ', shape, ": ", why));
  };
  const bool packed = format.packed != nullptr;
  if (packed && shape.rank() < 2) return refuse("a packed format holds matrices");
  std::int64_t elements = 1;  // a bound of what the format makes of them: rows and columns padded, 8 bytes a value
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t padded = shape[axis] < kMostBytes ? shape[axis] + (packed ? kPackedColumns : 0) : kMostBytes;
    if (__builtin_mul_overflow(elements, std::max<std::int64_t>(padded, 1), &elements) || elements > kMostBytes / 8)
      return refuse("too many values to count");
  }
  const std::int64_t columns = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
  if (!packed && columns % format.block_values != 0)
    return refuse(cat("a row's length must be a multiple of ", format.block_values));
  if (!packed) return format.bytes(shape.elements());
  std::int64_t matrices = 1;
  for (int axis = 0; axis + 2 < shape.rank(); ++axis) matrices *= shape[axis];
  return matrices * format.matrix_bytes(shape[shape.rank() - 2], columns);
}

std::string manifest_text(const ArtifactManifest& manifest) {
  Json profiles = Json::array();
  for (const ArtifactProfile& profile : manifest.profiles) profiles.push_back(profile_json(profile));
  const Json json = {{"layout_version", manifest.layout_version},
                     {"written_by", manifest.written_by},
                     {"target", manifest.target},
                     {"profiles", std::move(profiles)}};
  return json.dump();
}

Result<ArtifactManifest> read_manifest(std::string_view text, const std::string& source) {
  CORBEL_ASSIGN(const Json json, parse_json(text, cat(source, " (manifest)")));
  const JsonFields fields(json, cat(source, " (manifest)"));
  ArtifactManifest manifest;
  CORBEL_ASSIGN(manifest.layout_version, fields.require_int("layout_version", 0, kMostBytes));
  CORBEL_ASSIGN(manifest.written_by, fields.get_string("written_by", "an unknown version"));
  if (manifest.layout_version != kArtifactLayoutVersion) {
    const bool newer = manifest.layout_version > kArtifactLayoutVersion;
    return fail(Code::unsupported, cat(source, " has artifact layout ", manifest.layout_version, " (written by ",
                                       manifest.written_by, "), this build reads layout ", kArtifactLayoutVersion, ". ",
                                       newer ? "Run a newer corbel, or renew the file with this one: " : "Renew it: ",
                                       "corbel compile MODEL -o ", source));
  }
  CORBEL_ASSIGN(manifest.target, fields.require_string("target"));
  if (!json.contains("profiles") || !json["profiles"].is_array() || json["profiles"].empty())
    return fail(Code::bad_file, cat(fields.source(), ": \"profiles\" must be a list with at least one entry"));
  for (const Json& entry : json["profiles"]) {
    CORBEL_ASSIGN(ArtifactProfile profile, read_profile(entry, fields.source()));
    if (manifest.find_profile(profile.name) != nullptr)
      return fail(Code::bad_file, cat(fields.source(), ": two profiles are named ", quote(profile.name)));
    manifest.profiles.push_back(std::move(profile));
  }
  return manifest;
}

}  // namespace corbel
