#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "corbel/base/mapped_file.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

/// One safetensors file, mapped: 8 bytes of header length (little endian), a JSON header of at most 100 MB, the data.
/// Opening checks everything there is to check, with overflow-proof arithmetic: header length against the file, JSON
/// syntax, each name once, known dtype, shape x dtype == span, spans inside the file, in order, without gap or overlap,
/// covering it all. Dtypes that are no weight format (I64, U8, ...) are kept as raw bytes: find_raw gives them. Source:
/// github.com/huggingface/safetensors, README "Format".
class SafetensorsFile final : public TensorSource {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);

  std::optional<SourceTensor> find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::string description() const override;

  struct RawTensor {
    std::string dtype;  // as spelled in the header: "F32", "I64"
    Shape shape;
    std::span<const std::byte> bytes;
  };
  std::optional<RawTensor> find_raw(std::string_view name) const;
  /// The header's "__metadata__".
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
  std::map<std::string, RawTensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

struct TensorToWrite {
  std::string name;
  std::string dtype;  // "F32", "BF16", "I64", ...
  Shape shape;
  std::span<const std::byte> bytes;
};

/// Writes a file that open() accepts, atomically, with data in the order given and aligned to 64 bytes from the file's
/// start.
Result<void> write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                               const std::map<std::string, std::string, std::less<>>& metadata = {});

}  // namespace corbel
