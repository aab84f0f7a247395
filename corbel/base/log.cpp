#include "corbel/base/log.h"

#include <mutex>

namespace corbel {
namespace {

struct Sink {
  LogSink function = nullptr;
  void* user = nullptr;
};

std::mutex& sink_mutex() {
  static std::mutex mutex;
  return mutex;
}

Sink& current_sink() {
  static Sink sink;
  return sink;
}

}  // namespace

std::string_view log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "error";
}

void set_log_sink(LogSink sink, void* user) {
  const std::lock_guard lock(sink_mutex());
  current_sink() = Sink{sink, user};
}

void log(LogLevel level, std::string_view line) {
  const std::lock_guard lock(sink_mutex());
  if (const Sink sink = current_sink(); sink.function != nullptr) sink.function(level, line, sink.user);
}

}  // namespace corbel
