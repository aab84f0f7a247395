#include "corbel/format/artifact_layout.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::int64_t kLengthBytes = 8;
constexpr std::int64_t kChecksumBytes = sizeof(Checksum);
constexpr std::int64_t kMostFileBytes = std::int64_t{1} << 60;

Result<void> check_names(std::span<const ArtifactSection> sections) {
  std::set<std::string_view> names;
  for (const ArtifactSection& section : sections) {
    if (section.name.empty()) return fail(Code::bad_request, "an artifact's sections need names; one is empty");
    if (!names.insert(section.name).second)
      return fail(Code::bad_request, cat("two sections are named ", quote(section.name)));
  }
  return {};
}

std::string header_json(const ArtifactManifest& manifest, std::span<const ArtifactSection> sections) {
  Json metadata = {{"format", "pt"}, {std::string(kManifestKey), manifest_text(manifest)}};
  std::string text = cat("{\"__metadata__\":", metadata.dump());
  const std::int64_t data = sections.front().offset;
  for (const ArtifactSection& section : sections) {
    const std::string_view dtype = section_dtype(section.format, section.bytes);
    const std::string shape = dtype == "U8" ? cat('[', section.padded_bytes, ']') : to_string(section.shape);
    text += cat(",", Json(section.name).dump(), ":{\"dtype\":\"", dtype, "\",\"shape\":", shape, ",\"data_offsets\":[",
                section.offset - data, ",", section.offset - data + section.padded_bytes, "]}");
  }
  return text + '}';
}

}  // namespace

std::int64_t padded_section_bytes(std::int64_t bytes) noexcept {
  return (bytes + kArtifactAlignment - 1) / kArtifactAlignment * kArtifactAlignment;
}

std::string_view section_dtype(const WeightFormat* format, std::int64_t bytes) noexcept {
  if (bytes % kArtifactAlignment != 0) return "U8";
  if (format == &f32_format()) return "F32";
  if (format == &bf16_format()) return "BF16";
  return format == &f16_format() ? "F16" : "U8";
}

std::int64_t checksum_section_bytes(std::span<const ArtifactSection> sections) noexcept {
  std::int64_t count = 2;
  for (const ArtifactSection& section : sections) count += checksum_pieces(padded_section_bytes(section.bytes));
  return count * kChecksumBytes;
}

Result<ArtifactLayout> lay_out(const ArtifactManifest& manifest, std::vector<ArtifactSection> sections) {
  sections.push_back({.name = std::string(kChecksumSection), .bytes = checksum_section_bytes(sections)});
  CORBEL_TRY(check_names(sections));
  std::int64_t offset = 0;
  for (ArtifactSection& section : sections) {
    section.offset = offset;
    section.padded_bytes = padded_section_bytes(section.bytes);
    if (section.bytes < 0 || section.padded_bytes > kMostFileBytes - offset)
      return fail(Code::bad_request, cat("section ", quote(section.name), " has ", section.bytes, " bytes"));
    offset += section.padded_bytes;
  }
  ArtifactLayout layout;
  try {
    layout.header = header_json(manifest, sections);
  } catch (const Json::exception& error) {  // a name that is not UTF-8
    return fail(Code::bad_request, cat("an artifact's header cannot hold this: ", error.what()));
  }
  layout.header.resize(padded_section_bytes(kLengthBytes + std::ssize(layout.header)) - kLengthBytes, ' ');
  const std::uint64_t length = layout.header.size();
  std::string prefix(kLengthBytes, '\0');
  std::memcpy(prefix.data(), &length, kLengthBytes);
  layout.header.insert(0, prefix);
  for (ArtifactSection& section : sections) section.offset += std::ssize(layout.header);
  layout.file_bytes = offset + std::ssize(layout.header);
  layout.sections = std::move(sections);
  return layout;
}

}  // namespace corbel
