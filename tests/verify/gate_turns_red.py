#!/usr/bin/env python3
"""Runs the golden gate of a family with every fault injected (CORBEL_TEST_INJECT): the named test must fail each time.

    usage: gate_turns_red.py GOLDEN_TEST_PROGRAM
"""
import os
import re
import subprocess
import sys

TEST = "All/GoldenOfModel.EveryModuleAndTheGreedyIdsMatchTransformers/tiny_gqa_tied_sharded_bf16_reference__accuracy"
AT_LEAST = 10


def run(program: str, fault: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "CORBEL_TEST_INJECT": fault}
    if not fault:
        del env["CORBEL_TEST_INJECT"]
    return subprocess.run([program, f"--gtest_filter={TEST}"], env=env, text=True,
                          capture_output=True, check=False)


def main() -> int:
    program = sys.argv[1]
    clean = run(program, "")
    if clean.returncode != 0 or "1 test" not in clean.stdout:
        sys.exit(f"without a fault the gate must be green:\n{clean.stdout}{clean.stderr}")
    known = re.search(r"known: (.*)", run(program, "?").stdout)
    if not known:
        sys.exit("the gate does not list the faults it knows")
    red, unseen = [], []
    for fault in known[1].split(", "):
        found = run(program, fault)
        if "cannot be seen" in found.stdout:
            unseen.append(fault)
        elif found.returncode == 1 and f"[  FAILED  ] {TEST}" in found.stdout and "first_wrong" in found.stdout:
            red.append(fault)
        else:
            sys.exit(f"fault {fault} did not turn the gate red (exit {found.returncode}):\n{found.stdout}{found.stderr}")
    print(f"{len(red)} faults turn {TEST} red; not visible with this golden: {', '.join(unseen)}")
    return 0 if len(red) >= AT_LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
