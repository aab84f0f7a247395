#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "corbel/base/result.h"

namespace corbel::app {

/// Writes to standard output and flushes; false, with a message on standard error, when that fails (a full disk).
bool print(std::string_view text);

/// "corbel: MESSAGE" on standard error.
void print_error(std::string_view message);
/// As it is, on standard error.
void print_error_text(std::string_view text);

/// Prints the error and gives the exit code that its kind has: wrong requests are no usage errors, see command.h.
int report(const Error& error);

bool output_is_terminal();
bool errors_are_terminal();
bool input_is_terminal();

/// Sends the library's log lines to standard error, warnings and above (all of them with CORBEL_LOG=info or debug).
void install_log();

/// From now on Ctrl-C sets interrupted(); a second one before clear_interrupt() ends the process with 130.
void catch_interrupts();
const std::atomic<bool>& interrupted();
void clear_interrupt();

/// Most memory this process ever held (VmHWM), in bytes; 0 if the kernel does not say.
std::int64_t peak_memory_bytes();

}  // namespace corbel::app
