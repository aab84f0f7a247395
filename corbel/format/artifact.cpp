#include "corbel/format/artifact.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "corbel/base/quote.h"
#include "corbel/format/artifact_layout.h"
#include "corbel/format/safetensors.h"

namespace corbel {
namespace {

using Entry = SafetensorsHeader::Entry;

std::int64_t entry_bytes(const Entry& entry) { return static_cast<std::int64_t>(entry.end - entry.begin); }

/// Checks what the manifest says against the sections, and notes which sections it speaks of.
class ManifestCheck {
 public:
  ManifestCheck(const SafetensorsHeader& header, std::string source) : header_(header), source_(std::move(source)) {}

  Result<void> run(const ArtifactManifest& manifest) {
    for (const ArtifactProfile& profile : manifest.profiles) {
      for (const ArtifactTensor& tensor : profile.tensors) CORBEL_TRY(check_tensor(tensor));
      for (const ArtifactFileEntry& file : profile.files) CORBEL_TRY(check_file(file));
      if (profile.has_certificate) CORBEL_TRY(find(certificate_section(profile.name), "the certificate"));
    }
    CORBEL_TRY(find(std::string(kChecksumSection), kTheChecksums));
    for (const auto& [name, entry] : header_.entries) {
      if (!known_.contains(name))
        return fail(Code::bad_file, cat(source_, ": section ", quote(name), " is not in the manifest"));
      if (entry.begin % kArtifactAlignment != 0)
        return fail(Code::bad_file, cat(source_, ": section ", quote(name), " begins at byte ", entry.begin,
                                        ", expected a multiple of ", kArtifactAlignment));
    }
    return {};
  }

 private:
  Result<const Entry*> find(const std::string& section, std::string_view what) {
    if (section == kChecksumSection && what != kTheChecksums)
      return fail(Code::bad_file, cat(source_, ": the manifest puts ", what, " into ", quote(section)));
    const auto found = header_.entries.find(section);
    if (found == header_.entries.end())
      return fail(Code::bad_file, cat(source_, ": section ", quote(section), " with ", what, " is missing"));
    known_.insert(found->first);
    return &found->second;
  }

  Result<void> check_tensor(const ArtifactTensor& tensor) {
    const std::string what = cat(source_, ": tensor ", quote(tensor.name));
    CORBEL_ASSIGN(const Entry* entry, find(tensor.section(), "a tensor of the manifest"));
    CORBEL_ASSIGN(const std::int64_t bytes, stored_bytes(*tensor.format, tensor.shape, what));
    const std::string_view dtype = section_dtype(tensor.format, bytes);
    if (entry->dtype != dtype || entry_bytes(*entry) != padded_section_bytes(bytes) ||
        (dtype != "U8" && !(entry->shape == tensor.shape)))
      return fail(Code::bad_file,
                  cat(what, " is ", tensor.format->name, ' ', tensor.shape, " by the manifest, which is ", dtype,
                      " of ", padded_section_bytes(bytes), " bytes; its section is ", entry->dtype, ' ', entry->shape,
                      " of ", entry_bytes(*entry), " bytes"));
    return {};
  }

  Result<void> check_file(const ArtifactFileEntry& file) {
    CORBEL_ASSIGN(const Entry* entry, find(file.section(), "a file of the manifest"));
    if (entry_bytes(*entry) != padded_section_bytes(file.bytes))
      return fail(Code::bad_file, cat(source_, ": file ", quote(file.name), " has ", file.bytes,
                                      " bytes by the manifest, its section ", entry_bytes(*entry)));
    return {};
  }

  static constexpr std::string_view kTheChecksums = "the checksums";
  const SafetensorsHeader& header_;
  std::string source_;
  std::set<std::string_view> known_;
};

/// A profile's tensors.
class ProfileTensors final : public TensorSource {
 public:
  ProfileTensors(std::shared_ptr<const Artifact> artifact, const ArtifactProfile& profile)
      : artifact_(std::move(artifact)), file_(artifact_->file().path().filename().string()) {
    for (const ArtifactTensor& tensor : profile.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  std::optional<SourceTensor> find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return std::nullopt;
    const ArtifactTensor& tensor = *found->second;
    const auto bytes = stored_bytes(*tensor.format, tensor.shape, name).value();  // known to be right since open()
    const std::span<const std::byte> section = artifact_->bytes(*artifact_->find_section(tensor.section()));
    return SourceTensor{tensor.name, tensor.format, tensor.shape, section.first(static_cast<std::size_t>(bytes)),
                        file_};
  }
  bool has(std::string_view name) const override { return tensors_.contains(name); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.emplace_back(name);
    return names;
  }
  std::string description() const override { return artifact_->description(); }

 private:
  std::shared_ptr<const Artifact> artifact_;
  std::string file_;
  std::map<std::string_view, const ArtifactTensor*> tensors_;
};

/// A profile's files.
class ProfileFiles final : public NamedFiles {
 public:
  ProfileFiles(std::shared_ptr<const Artifact> artifact, const ArtifactProfile& profile)
      : artifact_(std::move(artifact)), profile_(&profile) {}

  Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t max_bytes) const override {
    for (const ArtifactFileEntry& file : profile_->files) {
      if (file.name != name) continue;
      if (file.bytes > max_bytes)
        return fail(Code::bad_file, cat(where(name), " has ", file.bytes, " bytes, more than the ", max_bytes,
                                        " that such a file may have"));
      const std::span<const std::byte> bytes = artifact_->bytes(*artifact_->find_section(file.section()));
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(file.bytes));
      return std::optional(FileBytes(text, artifact_));
    }
    return std::optional<FileBytes>();
  }
  bool has(std::string_view name) const override {
    return std::any_of(profile_->files.begin(), profile_->files.end(),
                       [&](const auto& file) { return file.name == name; });
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const ArtifactFileEntry& file : profile_->files) names.push_back(file.name);
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string description() const override { return artifact_->description(); }
  std::string where(std::string_view name) const override { return cat(artifact_->description(), ": ", name); }

 private:
  std::shared_ptr<const Artifact> artifact_;
  const ArtifactProfile* profile_;
};

}  // namespace

Result<std::shared_ptr<const Artifact>> Artifact::open(const std::filesystem::path& path) {
  CORBEL_ASSIGN(MappedFile file, MappedFile::open(path));
  CORBEL_ASSIGN(const SafetensorsHeader header, parse_safetensors_header(file.bytes(), path.string()));
  const auto text = header.metadata.find(kManifestKey);
  if (text == header.metadata.end())
    return fail(Code::bad_file, cat(path.string(), " is no artifact: its header has no \"", kManifestKey,
                                    "\". A checkpoint is named by its folder; corbel compile MODEL -o FILE makes "
                                    "artifacts"));
  CORBEL_ASSIGN(ArtifactManifest manifest, read_manifest(text->second, path.string()));
  CORBEL_TRY(ManifestCheck(header, path.string()).run(manifest));
  std::shared_ptr<Artifact> artifact(new Artifact(std::move(file), std::move(manifest)));
  for (const auto& [name, entry] : header.entries) {
    if (name == kChecksumSection) continue;
    artifact->sections_.push_back({name, static_cast<std::int64_t>(entry.begin), entry_bytes(entry)});
  }
  std::sort(artifact->sections_.begin(), artifact->sections_.end(), [](const Section& a, const Section& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  const Entry& checksums = header.entries.find(kChecksumSection)->second;
  artifact->checksums_offset_ = static_cast<std::int64_t>(checksums.begin);
  artifact->header_bytes_ = artifact->checksums_offset_;
  std::int64_t pieces = 1;  // the header's stands first
  for (std::size_t i = 0; i < artifact->sections_.size(); ++i) {
    Section& section = artifact->sections_[i];
    if (i == 0) artifact->header_bytes_ = section.offset;
    section.first_checksum = pieces;
    pieces += checksum_pieces(section.bytes);
    artifact->section_of_.emplace(section.name, i);
  }
  artifact->checksums_bytes_ = (pieces + 1) * static_cast<std::int64_t>(sizeof(Checksum));
  if (entry_bytes(checksums) != padded_section_bytes(artifact->checksums_bytes_) ||
      checksums.end != artifact->file_.bytes().size())
    return fail(Code::bad_file,
                cat(path.string(), ": section \"", kChecksumSection, "\" must be the last one and have ",
                    padded_section_bytes(artifact->checksums_bytes_), " bytes; it ends at byte ", checksums.end,
                    " and has ", entry_bytes(checksums)));
  return std::shared_ptr<const Artifact>(std::move(artifact));
}

bool Artifact::looks_like_one(std::span<const std::byte> file) noexcept {
  constexpr std::string_view kBegin = "{\"__metadata__\":{";
  constexpr std::size_t kLooked = 256;
  const std::string_view text(reinterpret_cast<const char*>(file.data()), std::min(file.size(), kLooked));
  return text.size() > 8 && text.substr(8).starts_with(kBegin) && text.find(kManifestKey) != text.npos;
}

const Artifact::Section* Artifact::find_section(std::string_view name) const noexcept {
  const auto found = section_of_.find(name);
  return found == section_of_.end() ? nullptr : &sections_[found->second];
}

std::span<const std::byte> Artifact::bytes(const Section& section) const noexcept {
  return file_.bytes().subspan(static_cast<std::size_t>(section.offset), static_cast<std::size_t>(section.bytes));
}

Result<const ArtifactProfile*> Artifact::profile(std::string_view name) const {
  if (name.empty()) return &manifest_.profiles.front();
  if (const ArtifactProfile* found = manifest_.find_profile(name); found != nullptr) return found;
  std::string names;
  for (const ArtifactProfile& profile : manifest_.profiles)
    names += cat(names.empty() ? "" : ", ", quote(profile.name));
  return fail(Code::bad_request, cat(description(), " has no profile ", quote(name), "; it has ", names));
}

Result<void> Artifact::check_target(std::string_view target) const {
  if (manifest_.target == target) return {};
  return fail(Code::unsupported,
              cat(description(), " was compiled for target ", quote(manifest_.target), ", this runs on ", quote(target),
                  ". Compile it again: corbel compile MODEL -o ", description(), " --target ", target));
}

std::shared_ptr<const TensorSource> Artifact::tensors(const ArtifactProfile& profile) const {
  return std::make_shared<ProfileTensors>(shared_from_this(), profile);
}

std::unique_ptr<NamedFiles> Artifact::files(const ArtifactProfile& profile) const {
  return std::make_unique<ProfileFiles>(shared_from_this(), profile);
}

std::string_view Artifact::certificate(const ArtifactProfile& profile) const noexcept {
  if (!profile.has_certificate) return {};
  const std::span<const std::byte> section = bytes(*find_section(certificate_section(profile.name)));
  std::string_view text(reinterpret_cast<const char*>(section.data()), section.size());
  const std::size_t last = text.find_last_not_of(std::string_view(" \0", 2));
  return text.substr(0, last == text.npos ? 0 : last + 1);
}

std::span<const Checksum> Artifact::all_checksums() const noexcept {
  static_assert(alignof(Checksum) == 1);
  const auto* first = reinterpret_cast<const Checksum*>(file_.bytes().data() + checksums_offset_);
  return {first, static_cast<std::size_t>(checksums_bytes_) / sizeof(Checksum)};
}

std::span<const Checksum> Artifact::checksums(const Section& section) const noexcept {
  return all_checksums().subspan(static_cast<std::size_t>(section.first_checksum),
                                 static_cast<std::size_t>(checksum_pieces(section.bytes)));
}

Result<void> Artifact::check(const std::function<bool(std::int64_t)>& progress) const {
  const std::span<const Checksum> stored = all_checksums();
  const auto differs = [&](std::string_view what, std::int64_t begin, std::int64_t end) {
    return fail(Code::bad_file,
                cat(description(), ": ", what, " is damaged: bytes ", begin, " to ", end - 1,
                    " of the file do not have their checksum. Copy the file again, or compile it again"));
  };
  if (checksum_of(std::as_bytes(stored.first(stored.size() - 1))) != stored.back())
    return differs(cat("section \"", kChecksumSection, "\""), checksums_offset_, checksums_offset_ + checksums_bytes_);
  if (checksum_of(file_.bytes().first(static_cast<std::size_t>(header_bytes_))) != stored.front())
    return differs("the header", 0, header_bytes_);
  std::int64_t done = 0;
  for (const Section& section : sections_) {
    const std::span<const std::byte> all = bytes(section);
    const std::span<const Checksum> expected = checksums(section);
    for (std::size_t piece = 0; piece < expected.size(); ++piece) {
      const std::size_t begin = piece * static_cast<std::size_t>(kChecksumPieceBytes);
      const std::size_t count = std::min(all.size() - begin, static_cast<std::size_t>(kChecksumPieceBytes));
      if (checksum_of(all.subspan(begin, count)) != expected[piece]) {
        const std::int64_t at = section.offset + static_cast<std::int64_t>(begin);
        return differs(cat("section ", quote(section.name)), at, at + static_cast<std::int64_t>(count));
      }
      done += static_cast<std::int64_t>(count);
      if (progress && !progress(done)) return fail(Code::cancelled, cat("stopped checking ", description()));
    }
  }
  return {};
}

}  // namespace corbel
