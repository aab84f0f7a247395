#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/checksum.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/named_files.h"
#include "corbel/format/artifact_manifest.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

/// An opened artifact (artifact_manifest.h says what that is), mapped. Immutable; any thread may read.
class Artifact : public std::enable_shared_from_this<Artifact> {
 public:
  /// Checks the safetensors header against the file's length, the layout version, and every entry of the manifest
  /// against its section's place and size; touches no tensor's data. Refused, naming file and section: a file cut
  /// short, safetensors that are no artifact, another layout version, a section that nothing speaks of. 300 tensors
  /// take under 2 ms.
  static Result<std::shared_ptr<const Artifact>> open(const std::filesystem::path& path);
  /// Whether the file says that it is one: the first bytes of a safetensors file with a manifest in it.
  static bool looks_like_one(std::span<const std::byte> file) noexcept;

  const ArtifactManifest& manifest() const noexcept { return manifest_; }
  std::string description() const { return file_.path().string(); }
  const MappedFile& file() const noexcept { return file_; }

  struct Section {
    std::string name;
    std::int64_t offset = 0;          // from the file's start
    std::int64_t bytes = 0;           // padding included
    std::int64_t first_checksum = 0;  // in the list of all pieces' checksums
  };
  /// In the order of the file; without that of the checksums.
  std::span<const Section> sections() const noexcept { return sections_; }
  const Section* find_section(std::string_view name) const noexcept;
  std::span<const std::byte> bytes(const Section& section) const noexcept;

  /// The profile called `name`; without a name the first one. Refused with the list of names.
  Result<const ArtifactProfile*> profile(std::string_view name) const;
  /// Refused, with what to do: an artifact whose weights are laid out for something else.
  Result<void> check_target(std::string_view target) const;
  /// A profile's tensors and files; they keep the artifact open.
  std::shared_ptr<const TensorSource> tensors(const ArtifactProfile& profile) const;
  std::unique_ptr<NamedFiles> files(const ArtifactProfile& profile) const;
  /// JSON text; empty without one.
  std::string_view certificate(const ArtifactProfile& profile) const noexcept;

  /// The stored checksums of a section's pieces (kChecksumPieceBytes each).
  std::span<const Checksum> checksums(const Section& section) const noexcept;
  /// Reads everything and compares it with the stored checksums. Refused, naming the section and the bytes of the file
  /// that differ. `progress` gets bytes done; returning false stops (Code::cancelled).
  Result<void> check(const std::function<bool(std::int64_t done)>& progress = {}) const;

 private:
  Artifact(MappedFile file, ArtifactManifest manifest) : file_(std::move(file)), manifest_(std::move(manifest)) {}
  std::span<const Checksum> all_checksums() const noexcept;  // header, pieces, this section itself
  MappedFile file_;
  ArtifactManifest manifest_;
  std::vector<Section> sections_;
  std::map<std::string_view, std::size_t> section_of_;  // views into sections_
  std::int64_t header_bytes_ = 0;
  std::int64_t checksums_offset_ = 0, checksums_bytes_ = 0;
};

}  // namespace corbel
