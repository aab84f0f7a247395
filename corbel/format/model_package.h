#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/checksum.h"
#include "corbel/base/named_files.h"
#include "corbel/format/artifact.h"
#include "corbel/format/artifact_writer.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

enum class PackageKind { hf_folder, gguf, artifact };
std::string_view package_kind_name(PackageKind kind);  // "Hugging Face folder", "GGUF file", "artifact"

/// A model as it lies on a disk, whatever it lies in: its weights and the files beside them. Immutable; any thread may
/// read.
class ModelPackage {
 public:
  virtual ~ModelPackage() = default;
  virtual PackageKind kind() const noexcept = 0;
  /// config.json, tokenizer.json, chat_template.jinja, ...: those that there are.
  virtual const NamedFiles& files() const noexcept = 0;
  /// Opened when first asked for (files can be there without weights); refused as open_hf_folder and its like do. Where
  /// the weights are mapped, they stay so as long as the source lives.
  virtual Result<std::shared_ptr<const TensorSource>> tensors() const = 0;
  /// For messages: the path, with "#PROFILE" where one was named.
  virtual std::string description() const = 0;
  /// What people call it: the folder's or file's name.
  virtual std::string name() const = 0;

  /// Artifacts only; null for others.
  virtual const Artifact* artifact() const noexcept { return nullptr; }
  virtual const ArtifactProfile* profile() const noexcept { return nullptr; }
};

/// Opens what `path` is, told by its content: a Hugging Face folder, a GGUF file (the first part of several), an
/// artifact, or a folder whose only model is one of the latter. "FILE.corbel#NAME" means a profile of an artifact with
/// several; without it the first one is taken. Reads headers only. Refused: what is none of these; an artifact of
/// another target.
Result<std::shared_ptr<const ModelPackage>> open_model_package(const std::filesystem::path& path);

/// "FILE#NAME" apart. A path that exists as it is has no profile.
struct ProfilePath {
  std::filesystem::path path;
  std::string profile;
};
ProfilePath split_profile(const std::filesystem::path& path);

/// The files of a package that an artifact of it must carry to run alone: config, tokenizer, template. Absent ones are
/// left out.
Result<std::vector<ArtifactPlan::File>> files_to_carry(const NamedFiles& files);

/// A key of a model's content: every tensor's name, format, shape and samples of its bytes (16 places), and the files
/// to carry. Two checkpoints of one architecture differ in it as soon as training moved their weights; damage of a
/// single byte may go unseen, which is what checksums are for. Takes milliseconds. No paths or times go in.
Result<Checksum> source_fingerprint(const TensorSource& tensors, const NamedFiles& files);

}  // namespace corbel
