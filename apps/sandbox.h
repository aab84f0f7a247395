#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "corbel/base/result.h"

namespace corbel::app {

/// What a process still needs of the machine's files. A path that is not there is passed over; a folder stands for all
/// that is in it, now or later.
struct SandboxFiles {
  std::vector<std::filesystem::path> read;
  std::vector<std::filesystem::path> append;  // made and written, not read: logs
  std::vector<std::filesystem::path> change;  // folders where files are made, read, renamed and removed
};

/// What holds now; empty `missing`: everything that is wanted.
struct SandboxState {
  std::string held;     // "files network signals system-calls"
  std::string missing;  // what this kernel does not offer, and why
};

/// Gives up, for good, what a server does not need once it listens: other files than these and connections of its own
/// (Landlock), programs, other processes, mounts, new sockets, identities (seccomp). Descriptors that are open stay
/// usable. Call it before the process has a second thread: the rules for files are of the thread and those it makes.
/// Refused: that there are other threads, and rules that the kernel offers but does not take.
Result<SandboxState> enter_sandbox(const SandboxFiles& files);

}  // namespace corbel::app
