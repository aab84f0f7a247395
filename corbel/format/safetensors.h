#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/mapped_file.h"
#include "corbel/format/tensor_source.h"

namespace corbel {

/// What the header of a safetensors file says, checked against the file's length.
struct SafetensorsHeader {
  struct Entry {
    std::string dtype;  // as spelled in the header, one of the known ones: "F32", "I64"
    Shape shape;
    std::uint64_t begin = 0;  // bytes from the file's start
    std::uint64_t end = 0;
  };
  std::map<std::string, Entry, std::less<>> entries;
  std::map<std::string, std::string, std::less<>> metadata;  // the header's "__metadata__"
};

/// Checks everything there is to check about `file`, the whole of it, with overflow-proof arithmetic: header length (8
/// bytes, little endian; at most 100 MB) against the file, JSON syntax, each name once, known dtype, shape x dtype ==
/// span, spans inside the file, without gap or overlap, covering it all. Touches no tensor data. `source` names the
/// file in messages. Source: github.com/huggingface/safetensors, README "Format".
Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> file, std::string_view source);

/// One safetensors file, mapped. Opening does the checks of parse_safetensors_header. Dtypes that are no weight format
/// (I64, U8, ...) are kept as raw bytes: find_raw gives them. Tensors are where the file has them: a tensor's address
/// need not be a multiple of its element size.
class SafetensorsFile final : public TensorSource {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);

  std::optional<SourceTensor> find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::string describe(std::string_view name) const override;
  std::string description() const override;

  struct RawTensor {
    std::string dtype;  // as spelled in the header
    Shape shape;
    std::span<const std::byte> bytes;
  };
  std::optional<RawTensor> find_raw(std::string_view name) const;
  /// The header's "__metadata__".
  const std::map<std::string, std::string, std::less<>>& metadata() const { return header_.metadata; }

 private:
  SafetensorsFile(MappedFile file, SafetensorsHeader header) : file_(std::move(file)), header_(std::move(header)) {}
  MappedFile file_;
  SafetensorsHeader header_;
};

struct TensorToWrite {
  std::string name;
  std::string dtype;  // "F32", "BF16", "I64", ...
  Shape shape;
  std::span<const std::byte> bytes;
};

/// Writes a file that open() accepts, atomically, with data in the order given; the first tensor starts at a multiple
/// of 64 bytes from the file's start, the others follow without gaps, as the format wants. Refuses a name given twice,
/// an unknown dtype, and bytes that are not shape x dtype.
Result<void> write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                               const std::map<std::string, std::string, std::less<>>& metadata = {});

}  // namespace corbel
