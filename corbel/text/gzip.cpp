#include "corbel/text/gzip.h"

#define ZLIB_CONST  // next_in points to what may not be changed
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "corbel/base/cat.h"

namespace corbel {
namespace {

constexpr int kGzipWindow = 15 + 16;  // 32 KB window, gzip's header and checksum

/// An inflating stream that cleans up.
class Inflation {
 public:
  Inflation() : ready_(inflateInit2(&stream_, kGzipWindow) == Z_OK) {}
  Inflation(const Inflation&) = delete;
  Inflation& operator=(const Inflation&) = delete;
  ~Inflation() {
    if (ready_) inflateEnd(&stream_);
  }
  bool ready() const noexcept { return ready_; }
  z_stream& stream() noexcept { return stream_; }

 private:
  z_stream stream_{};
  bool ready_;
};

}  // namespace

bool is_gzip(std::string_view bytes) noexcept { return bytes.starts_with("\x1F\x8B"); }

Result<std::string> gunzip(std::string_view bytes, const std::string& source, std::size_t max_bytes) {
  if (bytes.size() > std::numeric_limits<uInt>::max() || bytes.size() > max_bytes) {
    return fail(Code::bad_file, cat(source, ": has ", bytes.size(), " compressed bytes; the limit is ", max_bytes));
  }
  Inflation inflation;
  if (!inflation.ready()) return fail(Code::no_memory, cat(source, ": no memory for decompressing it"));
  z_stream& stream = inflation.stream();
  stream.next_in = reinterpret_cast<const Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string text;
  int state = Z_OK;
  while (state == Z_OK) {
    const std::size_t done = text.size();
    // Twice as much each time: a small file that claims to be large takes no more than what it holds.
    const std::size_t room = std::min(std::clamp<std::size_t>(done, 1 << 16, 1 << 26), max_bytes + 1 - done);
    text.resize(done + room);
    stream.next_out = reinterpret_cast<Bytef*>(text.data() + done);
    stream.avail_out = static_cast<uInt>(room);
    state = inflate(&stream, Z_NO_FLUSH);
    text.resize(done + room - stream.avail_out);
    if (text.size() > max_bytes) {
      return fail(Code::bad_file, cat(source, ": its content has more than ", max_bytes, " bytes"));
    }
  }
  const std::size_t used = bytes.size() - stream.avail_in;
  if (state != Z_STREAM_END) {
    return fail(Code::bad_file, cat(source, ": not a whole gzip file (",
                                    state == Z_BUF_ERROR    ? "it is cut off"
                                    : stream.msg != nullptr ? stream.msg
                                                            : "it is damaged",
                                    " at byte ", used, " of ", bytes.size(), ")"));
  }
  if (used != bytes.size()) {
    return fail(Code::bad_file, cat(source, ": ", bytes.size() - used, " bytes follow the end of the gzip data"));
  }
  return text;
}

}  // namespace corbel
