"""corbel serve in a control group of one gigabyte: it asks for what fits, and no request takes it down.

  usage: check_serve_cgroup.py CORBEL SOURCE_FOLDER
"""
import concurrent.futures
import contextlib
import os
import pathlib
import sys
import unittest

from runner import HAS_PICO, SANITIZED
from served import Served, Streams

GIGABYTE = 1 << 30


class Group:
    """A memory control group of version 2 or 1; `why_not` where there can be none."""

    def __init__(self, limit):
        self.path, self.why_not = None, None
        name = f"corbel-test-{os.getpid()}"
        two, one = pathlib.Path("/sys/fs/cgroup", name), pathlib.Path("/sys/fs/cgroup/memory", name)
        try:
            if "memory" in self.read(two.parent / "cgroup.controllers").split():
                self.path, self.kills = two, ("memory.events", "oom_kill")
                two.mkdir()
                (two / "memory.max").write_text(str(limit))
                with contextlib.suppress(OSError):
                    (two / "memory.swap.max").write_text("0")
            elif one.parent.is_dir():
                self.path, self.kills = one, ("memory.oom_control", "oom_kill")
                one.mkdir()
                (one / "memory.limit_in_bytes").write_text(str(limit))
            else:
                self.why_not = "no control groups of memory are mounted"
        except OSError as error:
            self.why_not = f"no control group can be made: {error}"

    @staticmethod
    def read(path):
        return path.read_text() if path.exists() else ""

    def join(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def killed(self):
        file, field = self.kills
        return int(dict(line.split() for line in self.read(self.path / file).splitlines())[field])

    def peak_bytes(self):
        return int(self.read(self.path / "memory.peak") or self.read(self.path / "memory.max_usage_in_bytes") or 0)

    def remove(self):
        if self.path and self.path.is_dir():
            self.path.rmdir()


GROUP = Group(GIGABYTE)
if GROUP.why_not:
    print("skipped:", GROUP.why_not)


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
@unittest.skipIf(GROUP.why_not, GROUP.why_not)
@unittest.skipIf(SANITIZED, "a sanitizer's own memory does not fit in 1 GB")
class Gigabyte(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        GROUP.remove()

    def test_is_what_the_server_plans_with_and_large_requests_leave_the_others_alone(self):
        with Served("--max-num-seqs", "4", preexec_fn=GROUP.join) as server:
            with Streams(server), concurrent.futures.ThreadPoolExecutor(16) as pool:
                found = list(pool.map(lambda _: self.status(server), range(32)))
            self.assertLessEqual(set(found), {400, 503, 413})
            self.assertEqual(server.chat(max_tokens=1)[0], 200)
            print(f"at most {GROUP.peak_bytes() >> 20} MiB; answers {dict((one, found.count(one)) for one in set(found))}")
        self.assertEqual(GROUP.killed(), 0)

    @staticmethod
    def status(server):
        big = '{"messages": [{"role": "user", "content": "' + "x " * 10_000_000 + '"}]}'
        return server.request("POST", "/v1/chat/completions", big)[0]


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
