#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "corbel/base/checksum.h"
#include "corbel/format/artifact_manifest.h"

namespace corbel {

/// One section of an artifact: a tensor, a file, a certificate, or the checksums.
struct ArtifactSection {
  std::string name;
  const WeightFormat* format = nullptr;  // tensors of plain rows show safetensors their type; null: U8
  Shape shape;                           // of such tensors
  std::int64_t bytes = 0;                // its own, without padding
  std::byte padding{0};
  // Set by lay_out():
  std::int64_t offset = 0;  // from the file's start, a multiple of 64
  std::int64_t padded_bytes = 0;
};

/// Where everything goes, known before a byte is written.
struct ArtifactLayout {
  std::string header;                     // the file's first bytes: length, JSON, spaces
  std::vector<ArtifactSection> sections;  // in the order of the file; the last one is for the checksums
  std::int64_t file_bytes = 0;
};

/// Places the sections one behind the other, adds that of the checksums, and makes the header. Refused: names given
/// twice, empty or not UTF-8, sections that no longer fit an int64.
Result<ArtifactLayout> lay_out(const ArtifactManifest& manifest, std::vector<ArtifactSection> sections);

/// The dtype in safetensors of a section: its own for plain rows of a multiple of 64 bytes, else U8.
std::string_view section_dtype(const WeightFormat* format, std::int64_t bytes) noexcept;
std::int64_t padded_section_bytes(std::int64_t bytes) noexcept;

/// The bytes of "corbel.checksums":
///   16 bytes                        checksum of the header (everything before the first section)
///   per section in the file's order 16 bytes per piece of 1 MiB of it, padding included
///   16 bytes                        checksum of everything before in this section
std::int64_t checksum_section_bytes(std::span<const ArtifactSection> sections) noexcept;  // without its own

}  // namespace corbel
