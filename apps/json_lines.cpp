#include "apps/json_lines.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/terminal.h"

namespace corbel::app {
namespace {

constexpr std::size_t kBlockBytes = 1 << 16;
constexpr std::size_t kMostLineBytes = std::size_t{1} << 30;

/// Lines of standard input, with the knowledge of whether another one is there already.
class InputLines {
 public:
  /// False at the end. `line` lives until the next call.
  bool next(std::string_view& line) {
    for (;;) {
      const std::size_t stop = buffer_.find('\n', std::max(begin_, seen_));
      if (stop != std::string::npos) {
        line = std::string_view(buffer_).substr(begin_, stop - begin_);
        begin_ = seen_ = stop + 1;
        return true;
      }
      seen_ = buffer_.size();
      if (buffer_.size() - begin_ > kMostLineBytes || !fill()) {
        line = std::string_view(buffer_).substr(begin_);
        begin_ = buffer_.size();
        return !line.empty();
      }
    }
  }

  /// May next() give a line without waiting?
  bool waiting() const {
    if (begin_ < buffer_.size()) return true;
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, 0) > 0;
  }

 private:
  bool fill() {
    buffer_.erase(0, begin_);
    seen_ -= begin_;
    begin_ = 0;
    const std::size_t size = buffer_.size();
    buffer_.resize(size + kBlockBytes);
    ssize_t count = 0;
    do count = read(STDIN_FILENO, buffer_.data() + size, kBlockBytes);
    while (count < 0 && errno == EINTR && !interrupted());
    buffer_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return count > 0;
  }

  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t seen_ = 0;  // no line ends before
};

}  // namespace

Result<std::string> read_standard_input(std::string_view what, std::size_t max_bytes) {
  std::string text;
  char part[kBlockBytes];
  while (const std::size_t count = std::fread(part, 1, sizeof part, stdin)) {
    text.append(part, count);
    if (text.size() > max_bytes) {
      return fail(Code::bad_request, cat(what, " on standard input is longer than ", max_bytes, " bytes"));
    }
  }
  return text;
}

int answer_json_lines(const std::function<Result<Json>(const JsonFields& line)>& answer) {
  InputLines lines;
  std::string_view text;
  std::string out;
  bool good = true;
  for (std::int64_t number = 1; lines.next(text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string source = cat("line ", number);
    const auto answered = [&]() -> Result<Json> {
      CORBEL_ASSIGN(const Json line, parse_json(text, source));
      return answer(JsonFields(line, source));
    }();
    good = good && answered.has_value();
    const Json written = answered ? *answered : Json{{"error", answered.error().message}};
    // ASCII: readers differ in what ends a line (U+2028 does for some).
    out += written.dump(-1, ' ', true, Json::error_handler_t::replace);
    out += '\n';
    if (out.size() < kBlockBytes && lines.waiting()) continue;
    if (!print(out)) return kFailed;
    out.clear();
  }
  return print(out) && good ? kOk : kFailed;
}

}  // namespace corbel::app
