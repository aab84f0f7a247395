#!/usr/bin/env python3
"""Runs every check on the tree and ends with a table of them.

  usage: tools/lint.py [--all] [--build FOLDER] [--only CHECK]... [--jobs N]

Exit code: 0 when nothing failed (warnings do not fail), else 1.
"""
import argparse
import sys
import time
from pathlib import Path

from lint_checks import Tree, clang, hot_loops, objects, text


def main() -> int:
    checks = {**text.CHECKS, **objects.CHECKS, **hot_loops.CHECKS, **clang.CHECKS}
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="checks the tree")
    parser.add_argument("--all", action="store_true", help="clang-tidy on everything, not only on what changed")
    parser.add_argument("--build", type=Path, default=root / "build/release")
    parser.add_argument("--only", action="append", choices=sorted(checks), help="run this check alone (may be repeated)")
    parser.add_argument("--show", type=int, default=40, help="findings printed per check")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()

    tree = Tree(root, options.build.resolve(), options.all, options.jobs)
    rows, failed = [], False
    for name, check in checks.items():
        if options.only and name not in options.only:
            continue
        begin = time.monotonic()
        findings = check(tree)
        seconds = time.monotonic() - begin
        for finding in findings[:options.show]:
            print(finding)
        if len(findings) > options.show:
            print(f"... and {len(findings) - options.show} more of {name}; alone: tools/lint.py --only \"{name}\" --show {len(findings)}")
        errors = sum(not finding.warning for finding in findings)
        warnings = len(findings) - errors
        failed = failed or errors > 0
        said = "ok" if not errors else f"{errors} to fix"
        rows.append((name, said + (f", {warnings} warnings" if warnings else ""), seconds))
    print()
    for name, said, seconds in rows:
        print(f"  {name:<17} {said:<24} {seconds:6.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
