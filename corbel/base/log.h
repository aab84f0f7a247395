#pragma once
#include <string>
#include <string_view>

/// The library never prints: it hands lines to a sink that the application installs.
namespace corbel {

enum class LogLevel { debug, info, warning, error };

/// "debug", "info", "warning", "error".
std::string_view log_level_name(LogLevel level);

/// Receives one event per call, as `key=value` text without a newline. May be called from any thread at any time.
using LogSink = void (*)(LogLevel level, std::string_view line, void* user);

/// Replaces the sink for the whole process; null drops everything. The default drops everything.
void set_log_sink(LogSink sink, void* user);

void log(LogLevel level, std::string_view line);

}  // namespace corbel
