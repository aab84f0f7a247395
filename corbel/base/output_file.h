#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "corbel/base/result.h"

namespace corbel {

/// A regular file that is being written at known places. Locked: a second process that opens it for writing is refused.
/// Moves; does not copy. Messages name the path and the system's reason.
class OutputFile {
 public:
  enum class Start { empty, as_it_is };
  static Result<OutputFile> open(const std::filesystem::path& path, Start start);

  OutputFile() = default;
  OutputFile(OutputFile&& other) noexcept { *this = std::move(other); }
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// Makes the file `bytes` long with room on the disk for all of it; refused where there is not enough.
  Result<void> reserve(std::int64_t bytes);
  Result<void> resize(std::int64_t bytes);
  Result<void> write(std::int64_t offset, std::span<const std::byte> bytes);
  /// Fills `bytes`; refused when the file ends before.
  Result<void> read(std::int64_t offset, std::span<std::byte> bytes) const;
  Result<std::int64_t> size() const;
  /// Waits until the disk has everything, renames, and closes: readers of `target` see the old file or this one.
  Result<void> rename_to(const std::filesystem::path& target);
  /// Closes and removes the file; failure is of no consequence.
  void remove() noexcept;
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Where a write to `path` has to go: through a symbolic link, so that the link stays one; never over a device, a pipe
/// or a folder.
Result<std::filesystem::path> write_target(const std::filesystem::path& path);

/// Makes a rename in the folder of `file` survive a power cut, where the system can.
void sync_folder(const std::filesystem::path& file) noexcept;

}  // namespace corbel
