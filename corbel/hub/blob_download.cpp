#include "corbel/hub/blob_download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

#include "corbel/base/bytes_text.h"
#include "corbel/base/output_file.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

/// A lock by name between processes; the kernel gives it back when its holder dies.
class FileLock {
 public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  static Result<FileLock> take(const fs::path& path, const HubClient& hub, std::atomic<int>& waiting) {
    FileLock lock;
    lock.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock.descriptor_ < 0)
      return fail(Code::bad_file, cat("cannot write ", path.string(), ": ", std::generic_category().message(errno)));
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) == 0) return lock;
    ++waiting;
    while (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (!hub.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (!hub.cancelled()) continue;
      --waiting;
      return fail(Code::cancelled, "interrupted");
    }
    --waiting;
    return lock;
  }

 private:
  int descriptor_ = -1;
};

fs::path incomplete_path(const BlobPlace& place, const RemoteFile& file) {
  return place.blobs / cat(file.hash, ".incomplete");
}

std::int64_t size_or_none(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? -1 : static_cast<std::int64_t>(size);
}

/// A content that grows: the file, its hash so far, and the figures that are shown.
class GrowingBlob {
 public:
  GrowingBlob(const RemoteFile& file, OutputFile output, PullFigures& figures)
      : file_(file), output_(std::move(output)), figures_(figures), hash_(file.kind, file.bytes) {}

  /// Reads what an earlier run left.
  Result<void> go_on() {
    CORBEL_ASSIGN(const std::int64_t there, output_.size());
    if (there > file_.bytes) return output_.resize(0);
    std::vector<std::byte> piece(std::size_t{1} << 20);
    while (bytes_ < there) {
      const auto count = static_cast<std::size_t>(std::min<std::int64_t>(there - bytes_, std::ssize(piece)));
      const std::span<std::byte> part(piece.data(), count);
      CORBEL_TRY(output_.read(bytes_, part));
      hash_.add(part);
      grow(std::ssize(part));
    }
    return {};
  }
  Result<void> begin(std::int64_t from) {
    if (from == bytes_) return {};
    CORBEL_CHECK(from == 0, "bytes from ", from, " where ", bytes_, " are there");
    CORBEL_TRY(output_.resize(0));
    hash_ = RunningHash(file_.kind, file_.bytes);
    grow(-bytes_);
    return {};
  }
  Result<void> add(std::span<const std::byte> bytes) {
    if (std::ssize(bytes) > file_.bytes - bytes_) {
      output_.remove();
      return fail(Code::bad_file, cat(clip(file_.path), " is longer than the ", file_.bytes,
                                      " bytes that the hub lists; it was removed"));
    }
    if (const auto written = output_.write(bytes_, bytes); !written)
      return fail(Code::bad_file, cat(written.error().message, "; the ", bytes_text(bytes_), " of ", clip(file_.path),
                                      " that came are kept, the same command goes on from there"));
    hash_.add(bytes);
    grow(std::ssize(bytes));
    figures_.fetched_bytes += std::ssize(bytes);
    return {};
  }
  Result<void> finish(const fs::path& target) {
    if (bytes_ != file_.bytes)
      return fail(Code::bad_file, cat(clip(file_.path), " ended after ", bytes_, " of ", file_.bytes,
                                      " bytes; the same command goes on from there"));
    const std::string found = hash_.hexadecimal();
    if (found == file_.hash) return output_.rename_to(target);
    output_.remove();
    grow(-bytes_);
    return fail(Code::bad_file, cat(clip(file_.path), " is damaged: ", hash_kind_name(file_.kind), " ", found,
                                    ", the hub lists ", file_.hash, "; it was removed. Try again"));
  }
  std::int64_t position() const { return bytes_; }

 private:
  void grow(std::int64_t by) {
    bytes_ += by;
    figures_.have_bytes += by;
  }
  const RemoteFile& file_;
  OutputFile output_;
  PullFigures& figures_;
  RunningHash hash_;
  std::int64_t bytes_ = 0;
};

}  // namespace

std::string_view blob_end_name(BlobEnd end) {
  switch (end) {
    case BlobEnd::present: return "present";
    case BlobEnd::resumed: return "resumed";
    case BlobEnd::fetched: return "fetched";
  }
  return "";
}

std::int64_t bytes_present(const BlobPlace& place, const RemoteFile& file) {
  if (file.hash.empty()) return 0;
  if (size_or_none(place.blobs / file.hash) == file.bytes) return file.bytes;
  const std::int64_t left = size_or_none(incomplete_path(place, file));
  return left > file.bytes ? 0 : std::max<std::int64_t>(left, 0);
}

Result<BlobEnd> download_blob(HubClient& hub, const BlobSource& source, const BlobPlace& place, PullFigures& figures) {
  const RemoteFile& file = source.file;
  const fs::path target = place.blobs / file.hash;
  const auto is_there = [&] {
    if (size_or_none(target) != file.bytes) return false;
    figures.have_bytes += file.bytes;
    return true;
  };
  if (is_there()) return BlobEnd::present;
  CORBEL_ASSIGN(const FileLock lock, FileLock::take(place.locks / cat(file.hash, ".lock"), hub, figures.waiting));
  if (is_there()) return BlobEnd::present;  // whom we waited for has brought it
  CORBEL_ASSIGN(OutputFile output, OutputFile::open(incomplete_path(place, file), OutputFile::Start::as_it_is));
  GrowingBlob blob(file, std::move(output), figures);
  CORBEL_TRY(blob.go_on());
  const bool resumed = blob.position() > 0;
  if (blob.position() < file.bytes) {
    const HubSink sink{.position = [&] { return blob.position(); },
                       .begin = [&](std::int64_t from) { return blob.begin(from); },
                       .add = [&](std::span<const std::byte> bytes) { return blob.add(bytes); }};
    CORBEL_TRY(hub.read(source.repository, source.commit, file, sink));
  }
  CORBEL_TRY(blob.finish(target));
  return resumed ? BlobEnd::resumed : BlobEnd::fetched;
}

}  // namespace corbel
