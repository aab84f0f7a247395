#!/usr/bin/env python3
"""Runs ctest in a build folder and ends with one line that counts what every program counted.

  usage: tools/test.py BUILD [--jobs N] [--only LABEL] [--without LABEL] [--match REGEX]

Tests run with progress; a failed one shows its output. Exit code: 0 when all passed, else 1.
"""
import argparse
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def count(text: str, word: str) -> int:
    """The number GoogleTest or unittest prints for `word`: "[  PASSED  ] 12 tests."."""
    found = re.findall(r"^\[ *%s *\] (\d+) tests?[.,]" % word, text, re.MULTILINE)
    return int(found[-1]) if found else 0


def count_case(case: ElementTree.Element) -> tuple[int, int, int]:
    """(passed, failed, skipped) of one ctest test, which may be a program with many cases."""
    text = case.findtext("system-out") or ""
    status = case.get("status")
    if status == "notrun" or status == "disabled":
        return (0, 1, 0) if status == "notrun" else (0, 0, 1)
    if "[==========]" in text:
        passed, failed, skipped = (count(text, word) for word in ("PASSED", "FAILED", "SKIPPED"))
        if status == "fail":
            failed = max(failed, 1)  # a crash prints no count
        return passed, failed, skipped
    ran = re.search(r"^Ran (\d+) tests? in", text, re.MULTILINE)
    cases = int(ran.group(1)) if ran else 1
    return (cases, 0, 0) if status == "run" else (0, 1, 0)


def skip_reasons(case: ElementTree.Element) -> list[str]:
    """The lines after "file:line: Skipped"."""
    text = case.findtext("system-out") or ""
    return [reason.strip() for reason in re.findall(r": Skipped\n(.+)", text)]


def main() -> int:
    parser = argparse.ArgumentParser(description="runs the tests of a build folder")
    parser.add_argument("build", type=Path)
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--only", help="only tests with this label")
    parser.add_argument("--without", help="no tests with this label")
    parser.add_argument("--match", help="only tests whose name matches")
    options = parser.parse_args()
    results = options.build.resolve() / "test_results.xml"
    results.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(options.build), "-j", options.jobs, "--output-on-failure", "--progress",
               "--timeout", "600", "--test-output-size-passed", "4000000", "--test-output-size-failed", "4000000",
               "--output-junit", str(results)]
    for flag, value in (("-L", options.only), ("-LE", options.without), ("-R", options.match)):
        if value:
            command += [flag, f"^{value}$" if flag != "-R" else value]
    begin = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    seconds = time.monotonic() - begin
    if not results.exists():
        print("tools/test.py: ctest ran nothing", file=sys.stderr)
        return 1

    passed = failed = skipped = programs = 0
    failures, reasons = [], {}
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        programs += 1
        counts = count_case(case)
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
        if counts[1]:
            failures.append(case.get("name"))
        for reason in skip_reasons(case):
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, times in sorted(reasons.items()):
        print(f"skipped {times}: {reason}")
    if failures:
        print("failed: " + ", ".join(failures))
    if programs == 0:
        print("tools/test.py: no test was found", file=sys.stderr)
    left_out = f", {skipped} skipped" if skipped else ""
    print(f"{passed} passed, {failed} failed{left_out} ({programs} programs, {seconds:.0f} s)")
    return 1 if code != 0 or failed or programs == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
