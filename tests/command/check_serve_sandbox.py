"""The sandbox of corbel serve: what flags name is read again, nothing else is; every thread is inside.

  usage: check_serve_sandbox.py CORBEL SOURCE_FOLDER
"""
import ctypes
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import unittest

from runner import HAS_PICO, PICO, run
from served import Served, Streams

ABSENT = 38  # ENOSYS


def refuse_calls(*numbers):
    """A function for a child process: from now on these system calls are not there."""
    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.POINTER(Instruction))]

    lines = [(0x20, 0, 0, 0)]  # the call's number
    lines += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    lines += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | ABSENT)]  # allowed; ENOSYS
    code = (Instruction * len(lines))(*lines)
    program = Program(len(lines), code)
    libc = ctypes.CDLL(None, use_errno=True)

    def enter():
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0  # PR_SET_SECCOMP, a filter

    return enter


def offers_sandbox():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(444, None, 0, 1) > 0  # landlock_create_ruleset: the version


HAS_SANDBOX = offers_sandbox()
if not HAS_SANDBOX:
    print("skipped: this kernel has no Landlock")


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
@unittest.skipUnless(HAS_SANDBOX, "this kernel has no Landlock")
class Sandbox(unittest.TestCase):
    def copied(self, folder, name):
        model = pathlib.Path(folder, name)
        shutil.copytree(PICO, model)
        return model

    def test_every_thread_is_inside_unless_it_is_off(self):
        for mode, filtered in (("require", "2"), ("off", "0")):
            with Served("--sandbox", mode) as server:
                self.assertEqual(server.chat(max_tokens=2)[0], 200)
                found = []
                for thread in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
                    lines = dict(line.split(":\t") for line in (thread / "status").read_text().splitlines())
                    found.append(lines["Seccomp"].strip())
                self.assertGreater(len(found), 5)
                self.assertEqual(set(found), {filtered})
                self.assertEqual(len(server.lines), 1, server.lines)

    def test_models_open_on_demand_again_and_again_and_not_from_elsewhere(self):
        with tempfile.TemporaryDirectory() as folder:
            first, second, draft = (self.copied(folder, name) for name in ("first", "second", "draft"))
            elsewhere = self.copied(folder, "elsewhere")
            for mode, status in (("require", 500), ("off", 200)):
                ask = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
                with Served("--sandbox", mode, "--max-model-bytes", "200000000", model=[f"a={first}", f"b={second}"]) as server:
                    for name in "babab":  # there is room for one
                        self.assertEqual(server.request("POST", "/v1/chat/completions", {**ask, "model": name})[0], 200)
                with Served("--sandbox", mode, model=[f"a={first}", f"b={second}"]) as server, Streams(server, count=2):
                    second.rename(second.with_name("kept"))
                    second.symlink_to(elsewhere)
                    found, answer, _ = server.request("POST", "/v1/chat/completions", {**ask, "model": "b"})
                    self.assertEqual(found, status, answer)
                    if status != 200:
                        self.assertIn("Permission denied", answer["error"]["message"])
                    second.unlink()
                    second.with_name("kept").rename(second)
                    self.assertEqual(server.request("POST", "/v1/chat/completions", {**ask, "model": "b"})[0], 200)
            with Served("--sandbox", "require", "--draft", str(draft), model=[str(first)]) as server:
                self.assertEqual(server.chat(max_tokens=20)[0], 200)

    def test_keys_are_read_again_where_they_stand_and_not_elsewhere(self):
        with tempfile.TemporaryDirectory() as folder:
            keys = pathlib.Path(folder, "secrets", "keys")
            keys.parent.mkdir()
            keys.write_text("one\n")
            with Served("--sandbox", "require", "--api-key-file", str(keys)) as server:
                def status(key):
                    return server.request("GET", "/v1/models", headers={"x-api-key": key})[0]

                fresh = keys.with_name("fresh")
                fresh.write_text("two\n")
                os.replace(fresh, keys)
                server.send_signal(signal.SIGHUP)
                self.assertTrue(server.wait_for_line("read keys"))
                self.assertEqual((status("one"), status("two")), (401, 200))
                outside = pathlib.Path(folder, "outside")
                outside.write_text("three\n")
                keys.unlink()
                keys.symlink_to(outside)
                server.send_signal(signal.SIGHUP)
                self.assertTrue(server.wait_for_line("Permission denied; going on with what was there"))
                self.assertEqual((status("two"), status("three")), (200, 401))

    def test_logs_and_traces_go_where_they_should(self):
        with tempfile.TemporaryDirectory() as folder:
            log, trace = pathlib.Path(folder, "logs", "access"), pathlib.Path(folder, "traces", "steps")
            for file in (log, trace):
                file.parent.mkdir()
            with Served("--sandbox", "require", "--access-log", str(log), "--trace", str(trace)) as server:
                self.assertEqual(server.chat(max_tokens=2)[0], 200)
                for _ in range(1000):  # its line is written when the last thread lets go of it, perhaps after the answer
                    if "/v1/chat/completions" in log.read_text():
                        break
                    server.request("GET", "/health")
                log.rename(log.with_name("old"))
                server.send_signal(signal.SIGHUP)
                self.assertTrue(server.wait_for_line("read keys"))
                self.assertEqual(server.chat(max_tokens=2)[0], 200)
            self.assertIn("/v1/chat/completions", log.read_text())
            self.assertIn("/v1/chat/completions", log.with_name("old").read_text())
            self.assertIn("decode", trace.read_text())

    def test_a_trace_in_a_shared_folder(self):
        # /tmp is not opened as a whole: the file is made before the sandbox is entered, and names that are not known yet are refused
        trace = pathlib.Path("/tmp", f"corbel-trace-{os.getpid()}")
        try:
            with Served("--sandbox", "require", "--trace", str(trace)) as server:
                self.assertEqual(server.chat(max_tokens=2)[0], 200)
            self.assertIn("decode", trace.read_text())
        finally:
            trace.unlink(missing_ok=True)
        code, _, said = run("serve", f"a={PICO}", f"b={PICO}", "--sandbox", "on", "--trace", str(trace), "--port", "0")
        self.assertEqual(code, 1)
        self.assertIn("a file for each of 2 models", said)
        self.assertFalse(trace.exists())

    def test_a_checkpoint_is_packed_inside(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):  # packed, then found
                with Served("--sandbox", "require", "--quant", "w8", environment={"XDG_CACHE_HOME": folder}) as server:
                    self.assertEqual(server.chat(max_tokens=2)[0], 200)
            self.assertEqual(len(list(pathlib.Path(folder, "corbel").glob("*.corbel"))), 1)

    def test_a_kernel_without_it_is_told_and_refused_where_it_is_required(self):
        with Served("--sandbox", "on", preexec_fn=refuse_calls(444)) as server:
            self.assertTrue(server.wait_for_line("no Landlock"))
            self.assertEqual(server.chat(max_tokens=2)[0], 200)
        with Served("--sandbox", "on", preexec_fn=refuse_calls(444, 317)) as server:
            self.assertTrue(server.wait_for_line("system calls (this kernel takes no filter"))
        for calls in ((444,), (317,)):
            with self.assertRaisesRegex(RuntimeError, "--sandbox require"):
                Served("--sandbox", "require", preexec_fn=refuse_calls(*calls))
        code, _, errors = run("serve", "--sandbox", "perhaps")
        self.assertEqual(code, 2)
        self.assertIn("on, off or require", errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
