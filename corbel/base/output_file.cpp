#include "corbel/base/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace corbel {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

Failure cannot_write(const fs::path& path, int error) {
  return fail(Code::bad_file, cat("cannot write ", path.string(), ": ", reason(error)));
}

/// "; 120 of 4096 bytes are free", or nothing where the system does not tell.
std::string free_space(const fs::path& path, std::int64_t needed) {
  struct statvfs status{};
  if (::statvfs(path.c_str(), &status) != 0) return {};
  return cat("; it needs ", needed, " bytes, the disk has ", status.f_bavail * status.f_frsize, " free");
}

}  // namespace

Result<OutputFile> OutputFile::open(const fs::path& path, Start start) {
  OutputFile file;
  file.path_ = path;
  file.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (file.descriptor_ < 0) return cannot_write(path, errno);
  struct stat status{};
  if (::fstat(file.descriptor_, &status) != 0) return cannot_write(path, errno);
  if (!S_ISREG(status.st_mode))
    return fail(Code::bad_file, cat("cannot write ", path.string(), ": it is no regular file"));
  if (::flock(file.descriptor_, LOCK_EX | LOCK_NB) != 0)
    return fail(Code::bad_file,
                cat("cannot write ", path.string(), ": another process is writing it (", reason(errno), ")"));
  if (start == Start::empty && ::ftruncate(file.descriptor_, 0) != 0) return cannot_write(path, errno);
  return file;
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  path_.swap(other.path_);
  return *this;
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> OutputFile::reserve(std::int64_t bytes) {
  int error = 0;
  do error = ::fallocate(descriptor_, 0, 0, bytes) == 0 ? 0 : errno;
  while (error == EINTR);
  if (error == EOPNOTSUPP || error == ENOSYS) error = 0;  // then the disk fills up later
  if (error == 0 && ::ftruncate(descriptor_, bytes) != 0) error = errno;
  if (error == 0) return {};
  return fail(Code::bad_file, cat("cannot write ", path_.string(), ": ", reason(error), free_space(path_, bytes)));
}

Result<void> OutputFile::resize(std::int64_t bytes) {
  return ::ftruncate(descriptor_, bytes) == 0 ? Result<void>() : cannot_write(path_, errno);
}

Result<void> OutputFile::write(std::int64_t offset, std::span<const std::byte> bytes) {
  constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), kMostAtOnce), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot_write(path_, errno);
    offset += count;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> OutputFile::read(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::bad_file, cat("cannot read ", path_.string(), ": ", reason(errno)));
    if (count == 0) return fail(Code::bad_file, cat(path_.string(), " ends at byte ", offset));
    offset += count;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::int64_t> OutputFile::size() const {
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0)
    return fail(Code::bad_file, cat("cannot read ", path_.string(), ": ", reason(errno)));
  return static_cast<std::int64_t>(status.st_size);
}

Result<void> OutputFile::rename_to(const fs::path& target) {
  if (::fsync(descriptor_) != 0) return cannot_write(path_, errno);
  if (::rename(path_.c_str(), target.c_str()) != 0) return cannot_write(target, errno);
  const int closed = ::close(std::exchange(descriptor_, -1));
  sync_folder(target);
  return closed == 0 ? Result<void>() : cannot_write(target, errno);
}

void OutputFile::remove() noexcept {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());
  ::close(std::exchange(descriptor_, -1));
}

Result<fs::path> write_target(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return path;
  if (fs::is_directory(status))
    return fail(Code::bad_file, cat("cannot write ", path.string(), ": a folder of this name exists"));
  if (!fs::is_regular_file(status))
    return fail(Code::bad_file,
                cat("cannot write ", path.string(), ": it is a pipe, socket or device, expected a file"));
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
  fs::path target = fs::canonical(path, error);
  if (error) return fail(Code::bad_file, cat("cannot write ", path.string(), ": ", error.message()));
  return target;
}

void sync_folder(const fs::path& file) noexcept {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  static_cast<void>(::fsync(descriptor));
  ::close(descriptor);
}

}  // namespace corbel
