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

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// The bytes of a file, and what keeps them there. Copies are cheap.
class FileBytes {
 public:
  /// `bytes` stay valid as long as `keeper` lives.
  FileBytes(std::string_view bytes, std::shared_ptr<const void> keeper) : bytes_(bytes), keeper_(std::move(keeper)) {}
  explicit FileBytes(std::string text);

  std::string_view text() const noexcept { return bytes_; }
  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(bytes_)); }

 private:
  std::string_view bytes_;
  std::shared_ptr<const void> keeper_;
};

/// Files by name, wherever they lie: in a folder, in an artifact, in a GGUF file's header. Any thread may read.
class NamedFiles {
 public:
  virtual ~NamedFiles() = default;
  /// Nothing when there is no such file; refused when it is there and cannot be read, or has more than `max_bytes`.
  virtual Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t max_bytes = kMostBytes) const = 0;
  virtual bool has(std::string_view name) const = 0;
  virtual std::vector<std::string> names() const = 0;  // sorted
  /// Where all of them are, for messages: the folder's or file's path.
  virtual std::string description() const = 0;
  /// Where one is, for messages: "models/pico/config.json".
  virtual std::string where(std::string_view name) const = 0;

  /// As find(), and a file that is not there is refused.
  Result<FileBytes> require(std::string_view name, std::int64_t max_bytes = kMostBytes) const;
  Result<Json> require_json(std::string_view name, std::int64_t max_bytes = std::int64_t{64} << 20) const;

  static constexpr std::int64_t kMostBytes = std::int64_t{1} << 62;
};

/// The files directly in a folder, which need not exist. Links are followed.
class FolderFiles final : public NamedFiles {
 public:
  explicit FolderFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t max_bytes = kMostBytes) const override;
  bool has(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::string description() const override { return folder_.string(); }
  std::string where(std::string_view name) const override { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

}  // namespace corbel
