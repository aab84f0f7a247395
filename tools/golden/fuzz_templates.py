#!/usr/bin/env python3
"""Random templates through `corbel template --jsonl` and through Python's jinja2 as transformers sets it up.

usage: fuzz_templates.py CORBEL [--count N] [--seed S] [--report FILE] [--catalogue FILE] [--record FILE] [--show N]

Runs in the environment of setup.sh (or any with transformers and jinja2 3.1.6). Every case is one template with the
same few variables; both sides must print the same text, or both refuse. A refusal of Corbel's by a stated limit (whole
numbers of 64 bits, budgets) is counted apart. What shows one of Python's methods or
addresses (<... at 0x7f...>) is no answer: such cases count as skipped. Exit code 1 when there is a difference. --catalogue: runs the templates of FILE (one JSON object a line:
{"source", "extra"}) in place of random ones; --record writes them with Python's answers, as goldens.
"""

import argparse
import datetime
import json
import random
import re
import signal
import subprocess
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

from template_grammar import Grammar, VARIABLES

CLOCK = "2026-01-02 03:04:05"
LIMITS = re.compile(r"beyond 64 bits|deeper than|too many steps|too much text|too big|the limit is|is beyond|more than \d+ levels|not supported here|needs a (?:precision|base|width|count)")


# Jinja folds constants, and then answers otherwise than for the same value in a variable: (7)[1:] is undefined, and
# NaN or infinity become names that its generated code lacks.
ACCIDENTS = re.compile(r"cannot be sliced|NameError: name '(?:nan|inf)'")


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(CLOCK)


chat_template_utils.datetime = FixedClock
# One environment for all cases: that of a template which transformers compiled.
ENVIRONMENT = chat_template_utils._compile_jinja_template("{{ 1 }}").environment


def too_slow(*_):
    raise TimeoutError


signal.signal(signal.SIGALRM, too_slow)


def python_answer(case):
    """{"prompt"} or {"error"}; None when there is no answer to compare with."""
    try:
        signal.setitimer(signal.ITIMER_REAL, 5)
        extra = json.loads(json.dumps(case["extra"]))
        text = ENVIRONMENT.from_string(case["source"]).render(
            messages=case["messages"], tools=None, documents=None, add_generation_prompt=False, **extra)
    except TimeoutError:
        return None
    except Exception as error:  # any of Python's: the wording is free
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return None if re.search(r"0x7f|<bound method|<built-in", text, re.I) else {"prompt": text}


def corbel_answers(corbel, cases):
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([corbel, "template", "--jsonl", "--now", CLOCK], input=lines, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if len(answers) != len(cases):
        raise SystemExit(f"{len(cases)} lines in, {len(answers)} out; exit code {done.returncode}: {done.stderr[-2000:]}")
    return answers


class Tally:
    def __init__(self):
        self.same = self.refused = self.limits = self.accidents = self.skipped = 0
        self.different = []

    def add(self, case, python, ours):
        if python is None:
            self.skipped += 1
        elif "error" in python and "error" in ours:
            self.refused += 1
        elif python == ours:
            self.same += 1
        elif "error" in ours and LIMITS.search(ours["error"]):
            self.limits += 1
        elif ACCIDENTS.search(ours.get("error", "") + python.get("error", "")):
            self.accidents += 1
        else:
            self.different.append({"source": case["source"], "python": python, "corbel": ours, "extra": case["extra"]})

    def summary(self):
        return {"same": self.same, "both_refuse": self.refused, "limits": self.limits, "accidents": self.accidents, "skipped": self.skipped,
                "different": len(self.different)}


def random_cases(grammar, count):
    return [{"source": grammar.template(), "messages": [], "extra": VARIABLES} for _ in range(count)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corbel")
    parser.add_argument("--count", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report")
    parser.add_argument("--catalogue")
    parser.add_argument("--record")
    parser.add_argument("--show", type=int, default=20)
    flags = parser.parse_args()
    tally = Tally()
    if flags.catalogue:
        cases = [json.loads(line) for line in open(flags.catalogue, encoding="utf-8") if line.startswith("{")]
        cases = [{"source": c["source"], "messages": [], "extra": c.get("extra", VARIABLES)} for c in cases]
        answers = [python_answer(case) for case in cases]
        for case, python, ours in zip(cases, answers, corbel_answers(flags.corbel, cases)):
            tally.add(case, python, ours)
        if flags.record:
            with open(flags.record, "w", encoding="utf-8") as out:
                out.write(json.dumps({"recorded_by": "tools/golden/fuzz_templates.py", "jinja2": jinja2.__version__,
                                      "transformers": transformers.__version__, "now": CLOCK,
                                      "extra": VARIABLES}, ensure_ascii=False) + "\n")
                for case, python in zip(cases, answers):
                    if python is not None:
                        row = {"source": case["source"], **python}
                        if case["extra"] is not VARIABLES:
                            row["extra"] = case["extra"]
                        out.write(json.dumps(row, ensure_ascii=False) + "\n")
    else:
        grammar = Grammar(random.Random(flags.seed))
        left = flags.count
        while left > 0:
            cases = random_cases(grammar, min(left, 2000))
            left -= len(cases)
            for case, ours in zip(cases, corbel_answers(flags.corbel, cases)):
                tally.add(case, python_answer(case), ours)
            print(f"\r{flags.count - left} {tally.summary()}", end="", file=sys.stderr)
        print(file=sys.stderr)
    for one in sorted(tally.different, key=lambda d: len(d["source"]))[: flags.show]:
        print(json.dumps({k: v for k, v in one.items() if k != "extra"}, ensure_ascii=False))
    report = {"jinja2": jinja2.__version__, "transformers": transformers.__version__, "seed": flags.seed,
              "count": flags.count if not flags.catalogue else tally.same + tally.refused, **tally.summary()}
    print(json.dumps(report))
    if flags.report:
        with open(flags.report, "w", encoding="utf-8") as out:
            out.write(json.dumps(report) + "\n")
    return 1 if tally.different else 0


if __name__ == "__main__":
    sys.exit(main())
