#include "corbel/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "corbel/base/output_file.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

/// An open file that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  int number() const noexcept { return number_; }
  /// errno of close(), 0 when it went well.
  int close() noexcept {
    const int number = std::exchange(number_, -1);
    return number >= 0 && ::close(number) != 0 ? errno : 0;
  }

 private:
  int number_;
};

struct OpenFile {
  Descriptor descriptor;
  std::int64_t bytes;
};

Result<OpenFile> open_for_reading(const fs::path& path) {
  // O_NONBLOCK: a named pipe in a folder must be refused, not waited for.
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.number() < 0) return fail(Code::bad_file, cat("cannot open ", path.string(), ": ", reason(errno)));
  struct stat status{};
  if (::fstat(descriptor.number(), &status) != 0)
    return fail(Code::bad_file, cat("cannot open ", path.string(), ": ", reason(errno)));
  if (S_ISDIR(status.st_mode)) return fail(Code::bad_file, cat(path.string(), " is a folder, expected a file"));
  if (!S_ISREG(status.st_mode))
    return fail(Code::bad_file, cat(path.string(), " is a pipe, socket or device, expected a regular file"));
  return OpenFile{std::move(descriptor), status.st_size};
}

/// 0 or errno.
int write_all(int descriptor, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), std::min<std::size_t>(bytes.size(), 1 << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

int write_parts(Descriptor& file, std::span<const std::span<const std::byte>> parts) noexcept {
  for (const std::span<const std::byte> part : parts)
    if (const int error = write_all(file.number(), part); error != 0) return error;
  if (::fsync(file.number()) != 0) return errno;
  return file.close();
}

/// Makes a new file beside `target`; `temporary` receives its name. Returns -1 and errno on failure.
int create_beside(const fs::path& target, fs::path& temporary) {
  constexpr int kAttempts = 100;  // names that a killed process of the same number left behind
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    temporary = target;
    temporary.replace_filename(cat('.', target.filename().string(), '.', ::getpid(), '.', attempt, ".tmp"));
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
  return -1;
}

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

Result<MappedFile> MappedFile::open(const fs::path& path) {
  CORBEL_ASSIGN(const OpenFile file, open_for_reading(path));
  if (file.bytes == 0) return fail(Code::bad_file, cat(path.string(), " is empty (0 bytes)"));
  const auto size = static_cast<std::size_t>(file.bytes);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor.number(), 0);
  if (data == MAP_FAILED)
    return fail(Code::bad_file, cat("cannot map ", path.string(), " (", size, " bytes): ", reason(errno)));
  // Read from the disk, it comes in huge pages, which a page table takes by one fault each. Advice: may fail.
  if (size >= kHugePage) ::madvise(data, size, MADV_HUGEPAGE);
  MappedFile mapped;
  mapped.data_ = static_cast<const std::byte*>(data);
  mapped.size_ = size;
  mapped.path_ = path;
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  path_.swap(other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::populate(std::size_t offset, std::size_t count) const noexcept {
  if (offset >= size_) return;
  const std::size_t end = offset + std::min(count, size_ - offset);
  // A fault maps the huge page around it, or those of the 64 KB around it that are in memory; MADV_POPULATE_READ takes
  // three times as long.
  constexpr std::size_t kAround = std::size_t{64} << 10;
  std::byte seen{};
  for (std::size_t at = offset; at < end; at = (at / kAround + 1) * kAround)
    seen |= static_cast<const volatile std::byte*>(data_)[at];
  static_cast<void>(seen);
}

void MappedFile::release(std::size_t offset, std::size_t count) const noexcept {
  const std::size_t begin = (offset + kPage - 1) / kPage * kPage;
  const std::size_t end = std::min(size_, offset + count) / kPage * kPage;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

bool is_git_lfs_pointer(std::span<const std::byte> bytes) noexcept {
  constexpr std::string_view kFirstLine = "version https://git-lfs.github.com/spec/";
  return bytes.size() >= kFirstLine.size() &&
         std::equal(kFirstLine.begin(), kFirstLine.end(), reinterpret_cast<const char*>(bytes.data()));
}

Result<std::string> read_text_file(const fs::path& path, std::int64_t max_bytes) {
  CORBEL_ASSIGN(const OpenFile file, open_for_reading(path));
  if (file.bytes > max_bytes)
    return fail(Code::bad_file, cat(path.string(), " has ", file.bytes, " bytes, more than the ", max_bytes,
                                    " that such a file may have"));
  // The size is a hint: a file can grow while it is read, and those in /proc claim to be empty.
  std::string text;
  text.resize(static_cast<std::size_t>(file.bytes) + 1);
  std::size_t used = 0;
  while (true) {
    if (used == text.size()) text.resize(2 * text.size());
    const ssize_t count = ::read(file.descriptor.number(), text.data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::bad_file, cat("cannot read ", path.string(), ": ", reason(errno)));
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
    if (used > static_cast<std::size_t>(max_bytes))
      return fail(Code::bad_file,
                  cat(path.string(), " has more than the ", max_bytes, " bytes that such a file may have"));
  }
  text.resize(used);
  return text;
}

Result<void> write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  return write_parts_atomically(path, {&bytes, 1});
}

Result<void> write_parts_atomically(const fs::path& path, std::span<const std::span<const std::byte>> parts) {
  CORBEL_ASSIGN(const fs::path target, write_target(path));
  fs::path temporary;
  Descriptor file(create_beside(target, temporary));
  if (file.number() < 0) return fail(Code::bad_file, cat("cannot write ", path.string(), ": ", reason(errno)));
  int error = write_parts(file, parts);
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return fail(Code::bad_file, cat("cannot write ", path.string(), ": ", reason(error), "; nothing was left behind"));
  }
  sync_folder(target);
  return {};
}

}  // namespace corbel
