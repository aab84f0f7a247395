#!/usr/bin/env python3
"""Compiles every file here twice: with CORBEL_MUST_COMPILE it has to compile, without it has to fail for its stated reason.

  usage: check.py ROOT COMPILER [FLAG]...
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def compile_once(root: Path, compiler: str, flags: list[str], path: Path, defines: list[str]) -> subprocess.CompletedProcess:
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", f"-I{root}",
               *flags, *defines, str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})


def check(root: Path, compiler: str, flags: list[str], path: Path) -> str | None:
    """What is wrong with this file; None when nothing is."""
    expected = re.search(r"^// expect: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    if expected is None:
        return "says nothing under \"// expect:\""
    right = compile_once(root, compiler, flags, path, ["-DCORBEL_MUST_COMPILE"])
    if right.returncode != 0:
        return "must compile with CORBEL_MUST_COMPILE, and does not:\n" + right.stderr
    wrong = compile_once(root, compiler, flags, path, [])
    if wrong.returncode == 0:
        return "must not compile, and does"
    first = next((line for line in wrong.stderr.splitlines() if " error: " in line), "")
    if not re.search(expected[1], first):
        return f"must fail with \"{expected[1]}\", and fails with\n{first or wrong.stderr}"
    return None


def main() -> int:
    root, compiler, flags = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    paths = sorted(Path(__file__).parent.glob("*.cpp"))
    with ThreadPoolExecutor(2) as pool:
        reasons = list(pool.map(lambda path: check(root, compiler, flags, path), paths))
    for path, reason in zip(paths, reasons):
        if reason:
            print(f"{path.name}: {reason}")
    print(f"Ran {len(paths)} tests in all, {sum(reason is not None for reason in reasons)} failed")
    return 1 if any(reasons) or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
