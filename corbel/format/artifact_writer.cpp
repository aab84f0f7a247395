#include "corbel/format/artifact_writer.h"

#include <algorithm>

#include "corbel/base/quote.h"
#include "corbel/format/artifact_section_writer.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Files, then tensors, then the certificate.
Result<ArtifactLayout> lay_out_plan(const ArtifactPlan& plan) {
  ArtifactManifest manifest{.written_by = plan.written_by, .target = plan.target, .profiles = {plan.profile}};
  ArtifactProfile& profile = manifest.profiles.front();
  profile.files.clear();
  profile.has_certificate = plan.certificate_bytes > 0;
  std::vector<ArtifactSection> sections;
  for (const ArtifactPlan::File& file : plan.files) {
    profile.files.push_back({file.name, std::ssize(file.bytes), ""});
    sections.push_back({.name = file_section(file.name), .bytes = std::ssize(file.bytes)});
  }
  for (ArtifactTensor& tensor : profile.tensors) {
    tensor.stored.clear();
    const std::string what = cat("tensor ", quote(tensor.name));
    if (tensor.name.starts_with(kOwnPrefix))
      return fail(Code::unsupported, cat(what, ": names that begin with \"", kOwnPrefix, "\" are the artifact's own"));
    CORBEL_CHECK(tensor.format != nullptr, what, " has no format");
    CORBEL_ASSIGN(const std::int64_t bytes, stored_bytes(*tensor.format, tensor.shape, what));
    sections.push_back({.name = tensor.name, .format = tensor.format, .shape = tensor.shape, .bytes = bytes});
  }
  if (profile.has_certificate)
    sections.push_back({.name = certificate_section(profile.name), .bytes = plan.certificate_bytes});
  return lay_out(manifest, std::move(sections));
}

Result<SectionWriter> open_sections(const fs::path& path, const ArtifactPlan& plan, SectionWriter::Start start) {
  auto layout = lay_out_plan(plan);
  if (!layout) return forward_failure(layout, cat("cannot write ", path.string()));
  CORBEL_ASSIGN(SectionWriter sections, SectionWriter::open(path, *std::move(layout), start));
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    if (!sections.is_written(i)) CORBEL_TRY(sections.append(i, bytes_of(plan.files[i].bytes)));
  }
  return sections;
}

}  // namespace

struct ArtifactWriter::State {
  SectionWriter sections;
  std::size_t first_tensor;
  std::size_t tensors;
  std::int64_t certificate_bytes;
  std::size_t certificate() const { return first_tensor + tensors; }
};

ArtifactWriter::ArtifactWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArtifactWriter::ArtifactWriter(ArtifactWriter&&) noexcept = default;
ArtifactWriter& ArtifactWriter::operator=(ArtifactWriter&&) noexcept = default;
ArtifactWriter::~ArtifactWriter() = default;

Result<std::int64_t> planned_file_bytes(const ArtifactPlan& plan) {
  CORBEL_ASSIGN(const ArtifactLayout layout, lay_out_plan(plan));
  return layout.file_bytes;
}

Result<ArtifactWriter> ArtifactWriter::create(const fs::path& path, const ArtifactPlan& plan) {
  CORBEL_ASSIGN(SectionWriter sections, open_sections(path, plan, SectionWriter::Start::anew));
  return ArtifactWriter(std::make_unique<State>(
      State{std::move(sections), plan.files.size(), plan.profile.tensors.size(), plan.certificate_bytes}));
}

Result<ArtifactWriter> ArtifactWriter::resume(const fs::path& path, const ArtifactPlan& plan) {
  CORBEL_ASSIGN(SectionWriter sections, open_sections(path, plan, SectionWriter::Start::resume));
  State state{std::move(sections), plan.files.size(), plan.profile.tensors.size(), plan.certificate_bytes};
  if (plan.certificate_bytes > 0) state.sections.restart(state.certificate());
  return ArtifactWriter(std::make_unique<State>(std::move(state)));
}

bool ArtifactWriter::is_written(std::size_t index) const {
  CORBEL_CHECK(index < state_->tensors, "tensor ", index, " of ", state_->tensors);
  return state_->sections.is_written(state_->first_tensor + index);
}

std::int64_t ArtifactWriter::tensor_bytes(std::size_t index) const {
  CORBEL_CHECK(index < state_->tensors, "tensor ", index, " of ", state_->tensors);
  return state_->sections.layout().sections[state_->first_tensor + index].bytes;
}

Result<void> ArtifactWriter::append(std::size_t index, std::span<const std::byte> bytes) {
  CORBEL_CHECK(index < state_->tensors, "tensor ", index, " of ", state_->tensors);
  return state_->sections.append(state_->first_tensor + index, bytes);
}

Result<void> ArtifactWriter::set_certificate(std::string_view json) {
  const std::int64_t room = state_->certificate_bytes;
  if (std::ssize(json) > room)
    return fail(Code::bad_request, cat("a certificate of ", json.size(), " bytes does not fit; planned were ", room));
  state_->sections.restart(state_->certificate());
  std::string text(json);
  text.resize(static_cast<std::size_t>(room), ' ');
  return state_->sections.append(state_->certificate(), bytes_of(text));
}

Result<void> ArtifactWriter::finish() {
  if (state_->certificate_bytes > 0 && !state_->sections.is_written(state_->certificate()))
    CORBEL_TRY(set_certificate("{}"));
  return state_->sections.finish();
}

void ArtifactWriter::keep_partial() noexcept { state_->sections.keep_partial(); }

}  // namespace corbel
