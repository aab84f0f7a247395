#include "apps/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

namespace corbel::app {
namespace {

namespace fs = std::filesystem;

constexpr int kNoSandbox = 200;  // exit code of a child: the kernel lacks a part

/// Files on both sides of the sandbox's wall, and a child process for each attempt.
class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sandbox.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    for (const char* const folder : {"open", "shut", "logs", "cache"}) {
      fs::create_directory(root_ / folder);
      std::ofstream(root_ / folder / "file") << "text";
    }
    ::symlink((root_ / "shut/file").c_str(), (root_ / "open/link").c_str());
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string at(const std::string& name) const { return root_ / name; }

  /// What `attempt` gives inside, -1 as errno; the parent's view of it.
  int inside(const std::function<long()>& attempt) const {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto state = enter_sandbox(
          {.read = {root_ / "open", root_ / "nowhere"}, .append = {root_ / "logs"}, .change = {root_ / "cache"}});
      if (!state || !state->missing.empty()) ::_exit(kNoSandbox);
      ::_exit(attempt() >= 0 ? 0 : errno);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int opening(const std::string& name, int flags) const {
    return inside([&] { return ::open(at(name).c_str(), flags, 0600); });
  }

  fs::path root_;
};

#define SKIP_WITHOUT_SANDBOX() \
  if (inside([] { return 0; }) == kNoSandbox) GTEST_SKIP() << "this kernel has no Landlock or no filters of calls"

TEST_F(SandboxTest, OpensWhatWasNamedAndNothingElse) {
  SKIP_WITHOUT_SANDBOX();
  EXPECT_EQ(opening("open/file", O_RDONLY), 0);
  EXPECT_EQ(opening("shut/file", O_RDONLY), EACCES);
  EXPECT_EQ(opening("open/link", O_RDONLY), EACCES) << "a link does not lead out";
  EXPECT_EQ(opening("open/../shut/file", O_RDONLY), EACCES);
  EXPECT_EQ(inside([] { return ::open("/etc/passwd", O_RDONLY); }), EACCES);
  EXPECT_EQ(inside([] { return ::open("/", O_RDONLY | O_DIRECTORY); }), EACCES);
}

TEST_F(SandboxTest, WritesWhereItMayAndNowhereElse) {
  SKIP_WITHOUT_SANDBOX();
  EXPECT_EQ(opening("open/file", O_WRONLY), EACCES);
  EXPECT_EQ(opening("open/new", O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(inside([&] { return ::unlink(at("open/file").c_str()); }), EACCES);
  EXPECT_EQ(inside([&] { return ::rename(at("open/file").c_str(), at("open/other").c_str()); }), EACCES);
  EXPECT_EQ(inside([&] { return ::chmod(at("open/file").c_str(), 0777); }), EPERM);
  EXPECT_EQ(inside([&] { return ::truncate(at("open/file").c_str(), 0); }), EACCES);
  EXPECT_EQ(opening("logs/new", O_WRONLY | O_CREAT | O_APPEND), 0);
  EXPECT_EQ(opening("logs/file", O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(opening("logs/file", O_RDONLY), EACCES);
  EXPECT_EQ(inside([&] { return ::unlink(at("logs/file").c_str()); }), EACCES);
  EXPECT_EQ(opening("cache/new", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(inside([&] { return ::rename(at("cache/file").c_str(), at("cache/other").c_str()); }), 0);
}

TEST_F(SandboxTest, StartsNoProgramAndNoProcess) {
  SKIP_WITHOUT_SANDBOX();
  char name[] = "true";
  char* const words[] = {name, nullptr};
  EXPECT_EQ(inside([&] { return ::execv("/bin/true", words); }), EPERM);
  EXPECT_EQ(inside([] { return static_cast<long>(::fork()); }), EPERM);
  EXPECT_EQ(inside([] { return static_cast<long>(::vfork()); }), EPERM);
  EXPECT_EQ(inside([&] {
              pid_t started = 0;
              errno = ::posix_spawn(&started, "/bin/true", nullptr, nullptr, words, environ);
              return errno == 0 ? 0 : -1;
            }),
            EPERM);
}

TEST_F(SandboxTest, ReachesNoOtherProcessAndNoMount) {
  SKIP_WITHOUT_SANDBOX();
  const pid_t parent = ::getpid();
  EXPECT_EQ(inside([&] { return ::ptrace(PTRACE_ATTACH, parent, nullptr, nullptr); }), EPERM);
  EXPECT_EQ(inside([&] { return ::kill(parent, 0); }), EPERM);
  EXPECT_EQ(inside([] { return ::kill(::getpid(), 0); }), 0);
  EXPECT_EQ(inside([] { return ::mount("none", "/mnt", "tmpfs", 0, nullptr); }), EPERM);
  EXPECT_EQ(inside([] { return ::unshare(CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(inside([] { return ::setuid(::getuid()); }), EPERM);
  EXPECT_EQ(inside([] { return ::syscall(SYS_bpf, 0, nullptr, 0); }), EPERM);
}

TEST_F(SandboxTest, AcceptsConnectionsAndMakesNone) {
  SKIP_WITHOUT_SANDBOX();
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listening, generic, length), 0);
  ASSERT_EQ(::listen(listening, 4), 0);
  ASSERT_EQ(::getsockname(listening, generic, &length), 0);
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(client, generic, length), 0);
  EXPECT_EQ(inside([&] { return ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC); }), 0);
  EXPECT_EQ(inside([] { return ::socket(AF_INET, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(inside([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), EPERM);
  const int unused = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(inside([&] { return ::connect(unused, generic, length); }), EPERM);
  for (const int opened : {listening, client, unused}) ::close(opened);
}

TEST_F(SandboxTest, HoldsForThreadsThatAreMadeLater) {
  SKIP_WITHOUT_SANDBOX();
  EXPECT_EQ(inside([&] {
              int failed = 0;
              std::thread([&] {
                const bool read = ::open(at("shut/file").c_str(), O_RDONLY) < 0 && errno == EACCES;
                const bool socket = ::socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM;
                failed = read && socket ? 0 : EINVAL;
              }).join();
              errno = failed;
              return failed == 0 ? 0 : -1;
            }),
            0);
}

TEST_F(SandboxTest, IsRefusedToAProcessWithMoreThreads) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::thread other([] { ::pause(); });
    const auto state = enter_sandbox({});
    ::_exit(!state && state.error().message.find("2 threads") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace corbel::app
