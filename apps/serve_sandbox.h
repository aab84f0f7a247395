#pragma once
#include "apps/sandbox.h"
#include "apps/serve_flags.h"

namespace corbel::app {

/// What --sandbox may be. Programs built for a sanitizer start without: that reads its own memory as a debugger does.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr const char* kDefaultSandbox = "off";
#else
constexpr const char* kDefaultSandbox = "on";
#endif
inline bool is_sandbox_mode(const std::string& mode) { return mode == "on" || mode == "off" || mode == "require"; }

/// The files of models, keys, certificates, logs and caches that the flags name, and what libraries read of the kernel.
SandboxFiles sandbox_files(const ServeFlags& flags);

/// Enters the sandbox that --sandbox asks for. What the kernel does not offer is said on standard error, or refused
/// where it is required. After everything that opens sockets, before the first thread.
Result<void> enter_serve_sandbox(const ServeFlags& flags);

}  // namespace corbel::app
