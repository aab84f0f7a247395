#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/gguf_header.h"
#include "corbel/base/result.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

/// A model in GGUF files, seen as a Hugging Face folder: tensors under that library's names and in its order of rows,
/// and the texts that would stand beside them, made from the file's keys. Immutable; any thread may read.
class GgufModel {
 public:
  /// Maps `path`, or every part NAME-0000I-of-0000N.gguf when it is one of several. Refused, naming file and tensor or
  /// key, what was expected and what was found: what GgufHeader refuses; a model or a number format that Corbel does
  /// not read (with the known ones); tensors that reach past the end or whose rows are no whole blocks; a missing part;
  /// missing or senseless sizes.
  static Result<std::unique_ptr<GgufModel>> open(const std::filesystem::path& path);

  /// The same for the bytes of a single file, which must outlive the model and everything that it gives.
  static Result<std::unique_ptr<GgufModel>> read(std::span<const std::byte> file, std::string source);

  virtual ~GgufModel() = default;

  /// "model.layers.0.self_attn.q_proj.weight", ...; shapes [out, in]; formats f32, f16, bf16 and those of
  /// gguf_rows.h. A tensor without such a name keeps its own. Bytes lie in the mapping, but for queries and keys whose
  /// rows the file has in another order: those are copied when they are first asked for and kept (owned_bytes()).
  /// The source may outlive the model.
  virtual std::shared_ptr<const TensorSource> tensors() const = 0;

  /// The file of that name in a Hugging Face folder: "config.json", "generation_config.json", "tokenizer_config.json",
  /// "chat_template.jinja" (where the model has a single one; several stand in tokenizer_config.json), and
  /// "tokenizer.gguf": a GGUF file without tensors, which Tokenizer::load reads. Nothing where there is none.
  virtual std::optional<std::string> text(std::string_view file_name) const = 0;

  /// The first part's.
  virtual const GgufHeader& header() const = 0;
  virtual const std::vector<std::filesystem::path>& files() const = 0;
  virtual std::int64_t owned_bytes() const = 0;
};

/// Whether the file begins like GGUF; false for what cannot be read.
bool looks_like_gguf(const std::filesystem::path& path);

}  // namespace corbel
