#include "corbel/format/model_package.h"

#include <algorithm>
#include <mutex>
#include <system_error>

#include "corbel/base/disk_names.h"
#include "corbel/base/quote.h"
#include "corbel/format/bare_names.h"
#include "corbel/format/gguf_model.h"
#include "corbel/format/hf_folder.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

std::string last_name(const fs::path& path) {
  const fs::path clean = path.lexically_normal();
  return clean.has_filename() ? clean.filename().string() : clean.parent_path().filename().string();
}

class FolderPackage final : public ModelPackage {
 public:
  explicit FolderPackage(const fs::path& folder) : folder_(folder), files_(folder) {}
  PackageKind kind() const noexcept override { return PackageKind::hf_folder; }
  const NamedFiles& files() const noexcept override { return files_; }
  Result<std::shared_ptr<const TensorSource>> tensors() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (tensors_ == nullptr) {
      CORBEL_ASSIGN(std::shared_ptr<const TensorSource> tensors, open_hf_folder(folder_));
      tensors_ = with_full_names(std::move(tensors));
    }
    return tensors_;
  }
  std::string description() const override { return folder_.string(); }
  std::string name() const override { return last_name(folder_); }

 private:
  fs::path folder_;
  FolderFiles files_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const TensorSource> tensors_;
};

/// The files that a GGUF file's keys stand for.
class GgufFiles final : public NamedFiles {
 public:
  GgufFiles(const GgufModel& model, std::string path) : model_(model), path_(std::move(path)) {}
  Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t max_bytes) const override {
    std::optional<std::string> text = model_.text(name);
    if (!text) return std::optional<FileBytes>();
    if (std::ssize(*text) > max_bytes)
      return fail(Code::bad_file, cat(where(name), " has ", text->size(), " bytes, more than the ", max_bytes,
                                      " that such a file may have"));
    return std::optional(FileBytes(*std::move(text)));
  }
  bool has(std::string_view name) const override { return model_.text(name).has_value(); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const char* name : {"1_Pooling/config.json", "chat_template.jinja", "config.json", "generation_config.json",
                             "tokenizer.gguf", "tokenizer_config.json"}) {
      if (has(name)) names.emplace_back(name);
    }
    return names;
  }
  std::string description() const override { return path_; }
  std::string where(std::string_view name) const override { return cat(path_, ": ", name); }

 private:
  const GgufModel& model_;
  std::string path_;
};

class GgufPackage final : public ModelPackage {
 public:
  GgufPackage(fs::path path, std::unique_ptr<GgufModel> model)
      : path_(std::move(path)), model_(std::move(model)), files_(*model_, path_.string()) {}
  PackageKind kind() const noexcept override { return PackageKind::gguf; }
  const NamedFiles& files() const noexcept override { return files_; }
  Result<std::shared_ptr<const TensorSource>> tensors() const override { return model_->tensors(); }
  std::string description() const override { return path_.string(); }
  std::string name() const override { return last_name(path_); }

 private:
  fs::path path_;
  std::unique_ptr<GgufModel> model_;
  GgufFiles files_;
};

class ArtifactPackage final : public ModelPackage {
 public:
  ArtifactPackage(std::shared_ptr<const Artifact> artifact, const ArtifactProfile& profile, bool was_named)
      : artifact_(std::move(artifact)),
        profile_(&profile),
        files_(artifact_->files(profile)),
        tensors_(artifact_->tensors(profile)),
        suffix_(was_named ? cat("#", profile.name) : "") {}
  PackageKind kind() const noexcept override { return PackageKind::artifact; }
  const NamedFiles& files() const noexcept override { return *files_; }
  Result<std::shared_ptr<const TensorSource>> tensors() const override { return tensors_; }
  std::string description() const override { return artifact_->description() + suffix_; }
  std::string name() const override { return last_name(artifact_->description()) + suffix_; }
  const Artifact* artifact() const noexcept override { return artifact_.get(); }
  const ArtifactProfile* profile() const noexcept override { return profile_; }

 private:
  std::shared_ptr<const Artifact> artifact_;
  const ArtifactProfile* profile_;
  std::unique_ptr<NamedFiles> files_;
  std::shared_ptr<const TensorSource> tensors_;
  std::string suffix_;
};

/// The only artifact or GGUF file (its first part) of a folder that is no Hugging Face one; else the folder itself.
fs::path model_in(const fs::path& folder) {
  const FolderFiles files(folder);
  if (files.has("config.json")) return folder;
  std::string found;
  for (const std::string& name : files.names()) {
    const bool later_part = name.find("-of-") != name.npos && name.find("-00001-of-") == name.npos;
    if (!name.ends_with(kArtifactExtension) && (!name.ends_with(".gguf") || later_part)) continue;
    if (!found.empty()) return folder;
    found = name;
  }
  return folder / found;
}

Result<std::shared_ptr<const ModelPackage>> open_artifact(const fs::path& path, const std::string& profile) {
  CORBEL_ASSIGN(const std::shared_ptr<const Artifact> artifact, Artifact::open(path));
  CORBEL_TRY(artifact->check_target("cpu"));
  CORBEL_ASSIGN(const ArtifactProfile* chosen, artifact->profile(profile));
  return std::shared_ptr<const ModelPackage>(std::make_shared<ArtifactPackage>(artifact, *chosen, !profile.empty()));
}

Result<bool> is_artifact(const fs::path& path) {
  if (path.extension() == kArtifactExtension) return true;
  CORBEL_ASSIGN(const MappedFile file, MappedFile::open(path));
  return Artifact::looks_like_one(file.bytes());
}

}  // namespace

std::string_view package_kind_name(PackageKind kind) {
  switch (kind) {
    case PackageKind::hf_folder: return "Hugging Face folder";
    case PackageKind::gguf: return "GGUF file";
    case PackageKind::artifact: return "artifact";
  }
  return "";
}

ProfilePath split_profile(const fs::path& path) {
  std::error_code ignored;
  const std::string text = path.string();
  const std::size_t mark = text.rfind('#');
  if (mark == text.npos || fs::exists(path, ignored)) return {path, ""};
  return {text.substr(0, mark), text.substr(mark + 1)};
}

Result<std::shared_ptr<const ModelPackage>> open_model_package(const fs::path& given) {
  const auto [named, profile] = split_profile(given);
  std::error_code error;
  const fs::path path = fs::is_directory(named, error) ? model_in(named) : named;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return fail(Code::bad_file, cat("no model at ", path.string()));
  if (error) return fail(Code::bad_file, cat("cannot open ", path.string(), ": ", error.message()));
  const auto refuse_profile = [&]() -> Result<void> {
    if (profile.empty()) return {};
    return fail(Code::bad_request, cat(path.string(), " is no artifact and has no profile ", quote(profile)));
  };
  if (fs::is_directory(status)) {
    CORBEL_TRY(refuse_profile());
    return std::shared_ptr<const ModelPackage>(std::make_shared<FolderPackage>(path));
  }
  if (looks_like_gguf(path)) {
    CORBEL_TRY(refuse_profile());
    CORBEL_ASSIGN(std::unique_ptr<GgufModel> model, GgufModel::open(path));
    return std::shared_ptr<const ModelPackage>(std::make_shared<GgufPackage>(path, std::move(model)));
  }
  CORBEL_ASSIGN(const bool artifact, is_artifact(path));
  if (artifact) return open_artifact(path, profile);
  return fail(Code::bad_file, cat(path.string(), " is neither an artifact (*", kArtifactExtension,
                                  ") nor a GGUF file; a Hugging Face model is named by its folder"));
}

Result<std::vector<ArtifactPlan::File>> files_to_carry(const NamedFiles& files) {
  // What loaders and readers of tokenizers look for (model/loader.cpp, text/tokenizer_folder.cpp, chat_template.h,
  // engine/embedding_defaults.cpp).
  constexpr std::string_view kNames[] = {"config.json",
                                         "generation_config.json",
                                         "tokenizer_config.json",
                                         "chat_template.jinja",
                                         "chat_template.json",
                                         "tokenizer.json",
                                         "tokenizer.json.gz",
                                         "tokenizer.model",
                                         "spiece.model",
                                         "tokenizer.gguf",
                                         "vocab.json",
                                         "merges.txt",
                                         "sentencepiece.bpe.model",
                                         "modules.json",
                                         "1_Pooling/config.json",
                                         "config_sentence_transformers.json",
                                         disk_names::kEmbeddingLimitsFile};
  // With a tokenizer.json nothing reads the older forms of the same tokenizer.
  const bool complete = files.has("tokenizer.json") || files.has("tokenizer.json.gz");
  constexpr std::string_view kOlder[] = {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
                                         "vocab.json",      "merges.txt",   "tokenizer.json.gz"};
  std::vector<ArtifactPlan::File> carried;
  const auto carry = [&](std::string_view name) -> Result<void> {
    CORBEL_ASSIGN(const std::optional<FileBytes> file, files.find(name, std::int64_t{256} << 20));
    if (file) carried.push_back({std::string(name), std::string(file->text())});
    return {};
  };
  for (const std::string_view name : kNames) {
    const bool older = std::find(std::begin(kOlder), std::end(kOlder), name) != std::end(kOlder);
    const bool only_form = name == "tokenizer.json.gz" && !files.has("tokenizer.json");
    if (!complete || !older || only_form) CORBEL_TRY(carry(name));
  }
  for (const std::string& name : complete ? std::vector<std::string>() : files.names()) {
    const bool known = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
    const bool literals = name.starts_with(disk_names::kLiteralVocabularyPrefix) && name.ends_with(".txt");
    if (!known && (name.ends_with(".tiktoken") || name.ends_with(".model") || literals)) CORBEL_TRY(carry(name));
  }
  std::sort(carried.begin(), carried.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return carried;
}

Result<Checksum> source_fingerprint(const TensorSource& tensors, const NamedFiles& files) {
  constexpr std::size_t kPlaces = 16;
  constexpr std::size_t kSampleBytes = 256;
  RunningChecksum sum;
  const auto add = [&](std::string_view text) {
    const std::uint64_t size = text.size();
    sum.add(std::as_bytes(std::span(&size, 1)));
    sum.add(std::as_bytes(std::span(text)));
  };
  for (const std::string& name : tensors.names()) {
    const std::optional<SourceTensor> tensor = tensors.find(name);
    add(name);
    if (!tensor) {
      add(tensors.describe(name));
      continue;
    }
    add(cat(tensor->format->name, ' ', tensor->shape));
    const std::string_view bytes(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
    for (std::size_t place = 0; place < kPlaces; ++place)
      add(bytes.substr(bytes.size() / kPlaces * place, kSampleBytes));
  }
  CORBEL_ASSIGN(const std::vector<ArtifactPlan::File> carried, files_to_carry(files));
  for (const ArtifactPlan::File& file : carried) {
    add(file.name);
    add(file.bytes);
  }
  return sum.value();
}

}  // namespace corbel
