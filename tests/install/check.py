#!/usr/bin/env python3
"""Installs a build into a temporary prefix and uses it from outside the tree.

  usage: check.py ROOT BUILD COMPILER
"""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT, BUILD, COMPILER = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
HERE = Path(__file__).resolve().parent
CHECKPOINT = ROOT / "models/llama/goldens/mha_f32"


def run(*command: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.prefix = Path(cls.folder.name) / "prefix"
        done = run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def configure(self, name: str, version: str) -> tuple[Path, subprocess.CompletedProcess]:
        build = Path(self.folder.name) / name
        return build, run("cmake", "-S", HERE / "consumer", "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                          f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DWANTED_VERSION={version}")

    def test_a_program_outside_finds_links_and_runs_the_library(self):
        build, configured = self.configure("consumer", "0.1")
        self.assertEqual(configured.returncode, 0, configured.stderr)
        built = run("ninja", "-C", build)
        self.assertEqual(built.returncode, 0, built.stdout[-3000:])
        ran = run(build / "consumer", CHECKPOINT)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("cpu llama", ran.stdout)

    def test_other_versions_are_refused(self):
        for version in ("9", "0.2", "1.0"):
            _, configured = self.configure(f"version-{version}", version)
            self.assertNotEqual(configured.returncode, 0, version)
            self.assertIn("corbelConfig.cmake, version: 0.1", configured.stderr)

    def test_private_headers_and_test_headers_stay_at_home(self):
        installed = [str(path.relative_to(self.prefix / "include")) for path in self.prefix.glob("include/**/*.h")]
        self.assertIn("corbel/base/result.h", installed)
        self.assertEqual([path for path in installed if "device/cpu" in path or "/test_" in path], [])

    def test_the_command_and_the_built_in_model_are_installed(self):
        command = self.prefix / "bin/corbel"
        self.assertTrue(command.exists())
        if not (ROOT / "share/pico/config.json").exists():
            self.skipTest("share/pico has no model yet")
        answer = run(command, "run", "--max-tokens", "8", "What is prefill?")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertNotEqual(answer.stdout.strip(), "")

    def test_the_c_library_shows_exactly_the_committed_symbols(self):
        libraries = list(self.prefix.glob("lib/**/libcorbel.so"))
        if not libraries:
            self.skipTest("there is no libcorbel.so")
        listing = run("nm", "-D", "--defined-only", "--format=posix", libraries[0])
        shown = sorted(line.split()[0] for line in listing.stdout.splitlines())
        wanted = (HERE / "exported_symbols.txt").read_text(encoding="utf-8").split()
        self.assertEqual(shown, wanted, "the C interface is the only ABI; tests/install/exported_symbols.txt lists it")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
