#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/format/weight_format.h"
#include "corbel/tensor/shape.h"

namespace corbel {

/// An artifact, NAME.corbel: one file, valid as safetensors, that holds all that a model needs to run.
///
///   8 bytes, JSON header, spaces    as safetensors; the header ends at a multiple of 64 bytes from the file's start
///   "corbel.file/NAME"              U8: config.json, tokenizer.json, ..., each the file's bytes
///   one section per tensor          under the checkpoint's own name
///   "corbel.certificate/PROFILE"    U8, JSON text with spaces behind it, where a certificate was planned
///   "corbel.checksums"              U8, see artifact_checksums.h
///
/// Every section starts at a multiple of 64 bytes from the file's start. A tensor of plain rows (f32, bf16, f16) whose
/// bytes are a multiple of 64 has the dtype that safetensors knows; everything else is U8 with zeros behind it up to
/// such a multiple. What a section holds stands in the manifest: "__metadata__"."corbel.manifest", JSON.
///
/// An artifact's bytes depend on what is in it alone: no dates, paths or numbers of threads.
inline constexpr std::int64_t kArtifactLayoutVersion = 1;
inline constexpr std::int64_t kArtifactAlignment = 64;
inline constexpr std::string_view kArtifactExtension = ".corbel";

/// One tensor of a profile.
struct ArtifactTensor {
  std::string name;  // the checkpoint's own
  const WeightFormat* format = nullptr;
  Shape shape;         // true one, without padding. Packed formats: [rows, columns], or [experts, rows, columns]
  std::string stored;  // the section that holds it; empty: the section called `name`
  const std::string& section() const { return stored.empty() ? name : stored; }
};

/// One file of a profile: "config.json" and how many bytes of its section are its own.
struct ArtifactFileEntry {
  std::string name;
  std::int64_t bytes = 0;
  std::string stored;  // the section that holds it; empty: file_section(name)
  std::string section() const;
};

/// What a profile was compiled for. Dynamic: any context that fits into memory.
struct ArtifactLimits {
  bool is_static = false;
  std::int64_t context_tokens = 0;  // static: most tokens of a sequence
  std::int64_t input_tokens = 0;    // static: most tokens of a prompt; 0: context_tokens
};

/// One way to run the model. Most artifacts have one; `corbel combine` puts several into one file.
struct ArtifactProfile {
  std::string name = "default";
  ArtifactLimits limits;
  std::string source;       // what it was compiled from, for people: "Llama-3.2-1B (Hugging Face folder)". No path
  std::string source_hash;  // 32 hexadecimal digits, source_fingerprint() of it
  std::map<std::string, std::string, std::less<>> settings;  // of the compilation: {"quant", "w4"}, {"method", "gptq"}
  std::vector<ArtifactTensor> tensors;
  std::vector<ArtifactFileEntry> files;
  bool has_certificate = false;  // in certificate_section(name)

  const ArtifactTensor* find_tensor(std::string_view tensor) const;
};

struct ArtifactManifest {
  std::int64_t layout_version = kArtifactLayoutVersion;
  std::string written_by;      // "corbel 0.1.0"
  std::string target = "cpu";  // what the weights' layout is for: all levels of the cpu device read the same bytes
  std::vector<ArtifactProfile> profiles;

  const ArtifactProfile* find_profile(std::string_view name) const;
};

inline constexpr std::string_view kManifestKey = "corbel.manifest";
inline constexpr std::string_view kChecksumSection = "corbel.checksums";
inline constexpr std::string_view kOwnPrefix = "corbel.";  // no tensor of a checkpoint may begin so
std::string file_section(std::string_view name);           // "corbel.file/NAME"
std::string certificate_section(std::string_view profile);

/// Bytes of a tensor without padding; refused: a packed format that is no matrix or stack of matrices, a row that is no
/// whole number of blocks, a size that an int64 does not hold. `what` names the tensor.
Result<std::int64_t> stored_bytes(const WeightFormat& format, const Shape& shape, std::string_view what);

std::string manifest_text(const ArtifactManifest& manifest);
/// `source` names the file in messages. Refused: another layout version, with the command that renews the file; formats
/// that this build does not know; fields of a wrong type; a tensor twice.
Result<ArtifactManifest> read_manifest(std::string_view text, const std::string& source);

}  // namespace corbel
