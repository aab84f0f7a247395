#include "apps/system_calls.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace corbel::app {
namespace {

// By what they would be good for. Not a list of what is allowed: which calls libraries make changes with their
// versions, and a server that dies of an update is worse than one that may still ask for the time.
constexpr const char* kRefused[] = {
    // other programs and processes
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
    // another view of the machine
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig",
    "fspick", "mount_setattr", "unshare", "setns",
    // connections of its own
    "socket", "socketpair", "bind", "connect", "listen",
    // somebody else
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset",
    "personality",
    // files by other ways, and what is no content
    "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown",
    "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    "utime", "utimes", "utimensat", "futimesat", "fanotify_init",
    // doors that faults of the kernel came in by
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key",
    "request_key", "keyctl", "modify_ldt", "uselib", "vmsplice",
    // the machine itself
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff",
    "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
    "setdomainname", "syslog", "iopl", "ioperm", "vhangup", "lookup_dcookie"};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};

/// 0, or -errno.
int refuse(void* filter, int error, const char* name) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number < 0) return 0;  // not of this processor, or newer than the library
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number, 0);
}

int refuse_where(void* filter, const char* name, scmp_arg_cmp argument) {
  return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(name), 1, &argument);
}

int fill(void* filter) {
  for (const char* const name : kRefused) {
    if (const int failed = refuse(filter, EPERM, name); failed != 0) return failed;
  }
  // Threads, but no processes. What clone3 is asked for stands in memory, which a filter does not see: who finds it
  // missing takes clone.
  const auto process = static_cast<scmp_datum_t>(getpid());
  const scmp_arg_cmp no_thread{.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = 0};
  const scmp_arg_cmp another{.arg = 0, .op = SCMP_CMP_NE, .datum_a = process, .datum_b = 0};
  const scmp_arg_cmp types_for_others{.arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = TIOCSTI};
  int failed = refuse(filter, ENOSYS, "clone3");
  if (failed == 0) failed = refuse_where(filter, "clone", no_thread);
  for (const char* const name : {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"})
    if (failed == 0) failed = refuse_where(filter, name, another);
  if (failed == 0) failed = refuse_where(filter, "ioctl", types_for_others);
  return failed;
}

}  // namespace

Result<void> restrict_system_calls() {
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(Code::no_memory, "there is no memory for a filter");
  // SSB: some kernels slow a filtered process down against Spectre 4 unless told that it runs no foreign code.
  int failed = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (failed == 0) failed = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_SSB, 1);
  if (failed == 0) failed = fill(filter.get());
  if (failed == 0) failed = seccomp_load(filter.get());
  if (failed == 0) return {};
  return fail(Code::bad_request, cat("this kernel takes no filter: ", std::strerror(-failed)));
}

}  // namespace corbel::app
