#!/usr/bin/env python3
"""What tools/new.py writes compiles in the tree's style, and it refuses names that are taken or say nothing."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from lint_checks import clang
from new_templates import KINDS

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent


def new(root: Path, kind: str, name: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-B", str(TOOLS / "new.py"), kind, name, "--root", str(root)], check=False, capture_output=True,
                          text=True)


class New(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def test_everything_it_writes_compiles_and_is_formatted(self):
        for kind in KINDS:
            written = new(self.root, kind, f"wide_{kind}_gate")
            self.assertEqual(written.returncode, 0, written.stderr)
        # One translation unit: the headers are parsed once.
        sources = sorted(path for path in self.root.glob("**/*.cpp") if not path.name.endswith("_test.cpp"))
        tests = sorted(self.root.glob("**/*_test.cpp"))
        self.assertEqual((len(sources), len(tests)), (5, 4))
        for name, parts in (("sources.cpp", sources), ("tests.cpp", tests)):
            every = self.root / name
            every.write_text("".join(f'#include "{path}"\n' for path in parts), encoding="utf-8")
            compiled = subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                                       "-Wno-missing-field-initializers", f"-I{self.root}", f"-I{ROOT}", str(every)],
                                      check=False, capture_output=True, text=True)
            self.assertEqual(compiled.returncode, 0, compiled.stderr[:3000])
        if shutil.which(clang.FORMAT):
            checked = subprocess.run([clang.FORMAT, f"--style=file:{ROOT}/.clang-format", "--dry-run", "-Werror",
                                      *map(str, self.root.glob("*/**/*.[ch]*"))], check=False, capture_output=True, text=True)
            self.assertEqual(checked.returncode, 0, checked.stderr[:2000])

    def test_a_taken_name_is_refused_and_nothing_is_written_over(self):
        for kind in KINDS:
            self.assertEqual(new(self.root, kind, "wide_gate").returncode, 0)
            before = {path: path.read_bytes() for path in self.root.glob("**/*") if path.is_file()}
            refused = new(self.root, kind, "wide_gate")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("already exists", refused.stderr)
            self.assertEqual(before, {path: path.read_bytes() for path in self.root.glob("**/*") if path.is_file()})
        self.assertIn("models/llama already exists", new(ROOT, "model", "llama").stderr)

    def test_names_that_say_nothing_or_break_the_style_are_refused(self):
        for name in ("Wide", "2d", "a-b", "../up", "a__b", "gate_utils", "cache_manager", ""):
            refused = new(self.root, "block", name)
            self.assertEqual(refused.returncode, 1, name)
        self.assertEqual(list(self.root.iterdir()), [])

    def test_the_library_gets_no_name_of_a_model(self):
        self.assertIn("names a model", new(self.root, "block", "llama_gate").stderr)
        self.assertEqual(new(self.root, "model", "gemma").returncode, 0)


if __name__ == "__main__":
    unittest.main()
