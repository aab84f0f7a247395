#include "corbel/format/artifact_combine.h"

#include <map>
#include <set>
#include <vector>

#include "corbel/base/quote.h"
#include "corbel/format/artifact.h"
#include "corbel/format/artifact_section_writer.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

/// An artifact put together from sections of others.
class Assembly {
 public:
  explicit Assembly(const ArtifactManifest& like)
      : manifest_{.written_by = like.written_by, .target = like.target, .profiles = {}} {}

  const ArtifactManifest& manifest() const { return manifest_; }

  /// Files, tensors, certificate: the order in which ArtifactWriter places them.
  void add(const Artifact& artifact, ArtifactProfile profile, std::string name) {
    const std::string old_name = std::exchange(profile.name, std::move(name));
    for (ArtifactFileEntry& file : profile.files) {
      const Artifact::Section& from = *artifact.find_section(file.section());
      const std::string placed = place(artifact, from, {.name = file_section(file.name), .bytes = file.bytes}, profile);
      file.stored = placed == file_section(file.name) ? "" : placed;
    }
    for (ArtifactTensor& tensor : profile.tensors) {
      const Artifact::Section& from = *artifact.find_section(tensor.section());
      const std::int64_t bytes = stored_bytes(*tensor.format, tensor.shape, tensor.name).value();
      const std::string placed =
          place(artifact, from, {.name = tensor.name, .format = tensor.format, .shape = tensor.shape, .bytes = bytes},
                profile);
      tensor.stored = placed == tensor.name ? "" : placed;
    }
    if (profile.has_certificate) {
      const Artifact::Section& from = *artifact.find_section(certificate_section(old_name));
      sections_.push_back({.name = certificate_section(profile.name), .bytes = from.bytes});
      origins_.push_back(artifact.bytes(from));
    }
    manifest_.profiles.push_back(std::move(profile));
  }

  Result<void> write(const fs::path& output) const {
    CORBEL_ASSIGN(ArtifactLayout layout, lay_out(manifest_, sections_));
    CORBEL_ASSIGN(SectionWriter writer, SectionWriter::open(output, std::move(layout), SectionWriter::Start::anew));
    for (std::size_t i = 0; i < sections_.size(); ++i)
      CORBEL_TRY(writer.append(i, origins_[i].first(static_cast<std::size_t>(sections_[i].bytes))));
    return writer.finish();
  }

 private:
  /// The section that holds these bytes: an equal one of before, or a new one.
  std::string place(const Artifact& artifact, const Artifact::Section& from, ArtifactSection section,
                    const ArtifactProfile& profile) {
    const std::span<const Checksum> pieces = artifact.checksums(from);
    const std::string key = cat(section.format == nullptr ? "file" : section.format->name, ' ', section.shape, ' ',
                                section.bytes, ' ', to_string(checksum_of(std::as_bytes(pieces))));
    if (const auto found = placed_.find(key); found != placed_.end()) return found->second;
    if (names_.contains(section.name)) section.name += cat("@", profile.name);
    names_.insert(section.name);
    placed_.emplace(key, section.name);
    origins_.push_back(artifact.bytes(from));
    sections_.push_back(section);
    return section.name;
  }

  ArtifactManifest manifest_;
  std::vector<ArtifactSection> sections_;
  std::vector<std::span<const std::byte>> origins_;
  std::map<std::string, std::string> placed_;
  std::set<std::string> names_;
};

/// Profiles that are not taken along would be gone.
Result<void> check_output(const fs::path& input, const fs::path& output) {
  std::error_code error;
  if (!fs::equivalent(input, output, error) || error) return {};
  return fail(Code::bad_request,
              cat("cannot write ", output.string(), ": it is what is read; give the new file another name"));
}

}  // namespace

Result<void> combine_artifacts(std::span<const fs::path> inputs, const fs::path& output) {
  if (inputs.size() < 2)
    return fail(Code::bad_request, cat("combining takes at least two artifacts, found ", inputs.size()));
  std::vector<std::shared_ptr<const Artifact>> artifacts;
  for (const fs::path& input : inputs) {
    CORBEL_TRY(check_output(input, output));
    CORBEL_ASSIGN(artifacts.emplace_back(), Artifact::open(input));
    CORBEL_TRY(artifacts.back()->check());  // damage must not get new checksums
  }
  Assembly assembly(artifacts.front()->manifest());
  for (std::size_t i = 0; i < artifacts.size(); ++i) {
    const ArtifactManifest& manifest = artifacts[i]->manifest();
    if (manifest.target != assembly.manifest().target)
      return fail(Code::bad_request,
                  cat(inputs[i].string(), " is for target ", quote(manifest.target), ", ", inputs.front().string(),
                      " for ", quote(assembly.manifest().target), "; one artifact has one target"));
    for (const ArtifactProfile& profile : manifest.profiles) {
      const std::string wanted = profile.name == ArtifactProfile().name ? inputs[i].stem().string() : profile.name;
      std::string name = wanted;
      for (int count = 2; assembly.manifest().find_profile(name) != nullptr; ++count) name = cat(wanted, "-", count);
      assembly.add(*artifacts[i], profile, std::move(name));
    }
  }
  return assembly.write(output);
}

Result<void> extract_profile(const fs::path& input, std::string_view profile, const fs::path& output) {
  CORBEL_TRY(check_output(input, output));
  CORBEL_ASSIGN(const std::shared_ptr<const Artifact> artifact, Artifact::open(input));
  CORBEL_ASSIGN(const ArtifactProfile* found, artifact->profile(profile));
  CORBEL_TRY(artifact->check());  // damage must not get new checksums
  Assembly assembly(artifact->manifest());
  assembly.add(*artifact, *found, ArtifactProfile().name);
  return assembly.write(output);
}

}  // namespace corbel
