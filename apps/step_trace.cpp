#include "apps/step_trace.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace corbel::app {
namespace {

double microseconds(std::chrono::steady_clock::time_point at) {
  return std::chrono::duration<double, std::micro>(at.time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<StepTrace>> StepTrace::open(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return fail(Code::bad_file, cat("cannot write ", path, ": ", std::strerror(errno)));
  return std::unique_ptr<StepTrace>(new StepTrace(file, path));
}

StepTrace::~StepTrace() { static_cast<void>(finish()); }

void StepTrace::add(const StepReport& report) {
  if (file_ == nullptr) return;
  const double begin = microseconds(report.begin);
  const StepPacer::Shape& shape = report.shape;
  const char* const name = shape.prompt_rows == 0 ? "decode" : shape.decode_rows == 0 ? "prompts" : "both";
  std::fprintf(file_,
               "%s\n{\"name\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.1f,\"dur\":%.1f,"
               "\"args\":{\"decode_rows\":%lld,\"prompt_rows\":%lld,\"prompt_position\":%.0f}},",
               std::exchange(any_, true) ? "," : "[", name, begin, report.run_seconds * 1e6,
               static_cast<long long>(shape.decode_rows), static_cast<long long>(shape.prompt_rows),
               shape.prompt_position);
  std::fprintf(file_, "\n{\"name\":\"deliver\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.1f,\"dur\":%.1f},",
               begin + report.run_seconds * 1e6, report.deliver_seconds * 1e6);
  std::fprintf(file_,
               "\n{\"name\":\"requests\",\"ph\":\"C\",\"pid\":1,\"ts\":%.1f,\"args\":{\"running\":%lld,"
               "\"waiting\":%lld}},\n{\"name\":\"free pages\",\"ph\":\"C\",\"pid\":1,\"ts\":%.1f,"
               "\"args\":{\"pages\":%lld}}",
               begin, static_cast<long long>(report.running), static_cast<long long>(report.waiting), begin,
               static_cast<long long>(report.free_pages));
}

Result<void> StepTrace::finish() {
  if (file_ == nullptr) return {};
  std::fputs(any_ ? "\n]\n" : "[]\n", file_);
  const bool failed = std::ferror(file_) != 0;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (failed || !closed) return fail(Code::bad_file, cat("cannot write all of ", path_, ": ", std::strerror(errno)));
  return {};
}

}  // namespace corbel::app
