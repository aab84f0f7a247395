#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "corbel/base/result.h"

namespace corbel {

/// A whole file, read-only, mapped into memory. Pages are read when first touched and count as file cache, not as
/// private memory. Moves; does not copy. The bytes stay valid as long as the object lives and nobody truncates the
/// file: replace files by renaming (write_file_atomically), never in place.
class MappedFile {
 public:
  /// Refuses what is missing, a folder, unreadable or empty, naming the path and the system's reason.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  /// Brings `count` bytes from `offset` on into this process's page table, reading them from the disk where they are
  /// not cached: whoever touches them later waits for nothing. Advice: failing only costs speed. Any thread.
  void populate(std::size_t offset, std::size_t count) const noexcept;
  /// Takes whole pages of that range out of this process again; they stay in the file cache as long as the kernel
  /// likes, and come back when touched.
  void release(std::size_t offset, std::size_t count) const noexcept;
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::filesystem::path path_;
};

/// True for the small text that a clone without Git LFS leaves in place of a large file.
bool is_git_lfs_pointer(std::span<const std::byte> bytes) noexcept;

/// The bytes of a regular file of at most `max_bytes`, which may be empty.
Result<std::string> read_text_file(const std::filesystem::path& path, std::int64_t max_bytes = 64 << 20);

/// Writes to a temporary file beside `path`, then renames it: readers see the old file or the new one, never half of
/// it. A failure removes the temporary file. A symbolic link is followed; a device, pipe or folder is refused.
Result<void> write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
/// The same for a file whose parts lie in several places of memory, written one after the other.
Result<void> write_parts_atomically(const std::filesystem::path& path,
                                    std::span<const std::span<const std::byte>> parts);

}  // namespace corbel
