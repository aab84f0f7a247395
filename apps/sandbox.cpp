#include "apps/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "apps/system_calls.h"

namespace corbel::app {
namespace {

namespace fs = std::filesystem;

// Rights of the kernel's interface that Debian 12's header does not have yet (include/uapi/linux/landlock.h,
// Linux 6.12).
constexpr std::uint64_t kTruncate = 1ULL << 14;                              // version 3
constexpr std::uint64_t kBindTcp = 1ULL << 0, kConnectTcp = 1ULL << 1;       // version 4
constexpr std::uint64_t kIoctlDevice = 1ULL << 15;                           // version 5
constexpr std::uint64_t kAbstractSockets = 1ULL << 0, kSignals = 1ULL << 1;  // version 6

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kAppend = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | kTruncate;
constexpr std::uint64_t kChange =
    kRead | kAppend | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kOfFiles = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;

/// The argument of landlock_create_ruleset; members that a kernel does not know must be zero.
struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};

Ruleset offered(long version) {
  Ruleset all;
  all.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1U) - 1;  // version 1: all up to making symbolic links
  if (version >= 2) all.files |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) all.files |= kTruncate;
  if (version >= 4) all.network = kBindTcp | kConnectTcp;
  if (version >= 5) all.files |= kIoctlDevice;
  if (version >= 6) all.scopes = kAbstractSockets | kSignals;
  return all;
}

/// -1 where the kernel does not say.
int process_threads() {
  std::error_code failed;
  int threads = 0;
  for (fs::directory_iterator at("/proc/self/task", failed), end; !failed && at != end; at.increment(failed)) ++threads;
  return failed ? -1 : threads;
}

std::string reason() { return std::strerror(errno); }

/// An open descriptor that closes itself.
struct Descriptor {
  explicit Descriptor(long opened) : number(static_cast<int>(opened)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  int number;
};

Result<void> allow(int ruleset, const fs::path& path, std::uint64_t rights) {
  const Descriptor opened(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status{};
  if (opened.number < 0 || ::fstat(opened.number, &status) != 0) return {};
  if (!S_ISDIR(status.st_mode)) rights &= kOfFiles;
  const landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = opened.number};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) return {};
  if (errno == EBADFD) return {};  // a pipe: nothing asks the rules about those
  return fail(Code::bad_file, cat("cannot allow ", path.string(), " in the sandbox: ", reason()));
}

Result<void> allow_all(int ruleset, const std::vector<fs::path>& paths, std::uint64_t rights) {
  for (const fs::path& path : paths) CORBEL_TRY(allow(ruleset, path, rights));
  return {};
}

Result<void> restrict_files(const SandboxFiles& files, SandboxState& state) {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) {
    state.missing = cat("files (this kernel has no Landlock: ", reason(), ")");
    return {};
  }
  const Ruleset wanted = offered(version);
  const Descriptor ruleset(::syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0));
  if (ruleset.number < 0) return fail(Code::bad_file, cat("cannot make the sandbox's rules for files: ", reason()));
  CORBEL_TRY(allow_all(ruleset.number, files.read, wanted.files & kRead));
  CORBEL_TRY(allow_all(ruleset.number, files.append, wanted.files & kAppend));
  CORBEL_TRY(allow_all(ruleset.number, files.change, wanted.files & kChange));
  if (::syscall(SYS_landlock_restrict_self, ruleset.number, 0) != 0)
    return fail(Code::bad_file, cat("cannot enter the sandbox for files: ", reason()));
  state.held = cat("files", wanted.network != 0 ? " network" : "", wanted.scopes != 0 ? " signals" : "");
  return {};
}

}  // namespace

Result<SandboxState> enter_sandbox(const SandboxFiles& files) {
  if (const int threads = process_threads(); threads > 1)
    return fail(Code::bad_request,
                cat("cannot enter the sandbox: the process has ", threads, " threads already, expected one"));
  // Libraries read what they read at their first use now.
  unsigned char byte = 0;
  OPENSSL_init_ssl(0, nullptr);
  RAND_bytes(&byte, 1);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(Code::bad_request, cat("cannot give up new privileges: ", reason()));
  SandboxState state;
  CORBEL_TRY(restrict_files(files, state));
  const Result<void> calls = restrict_system_calls();
  if (calls) {
    state.held += cat(state.held.empty() ? "" : " ", "system-calls");
  } else {
    state.missing += cat(state.missing.empty() ? "" : "; ", "system calls (", calls.error().message, ")");
  }
  return state;
}

}  // namespace corbel::app
