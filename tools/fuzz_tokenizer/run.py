#!/usr/bin/env python3
"""Compares `corbel tokenize` with Hugging Face tokenizers, SentencePiece and tiktoken on random texts.

  usage: run.py --corbel COMMAND --work FOLDER [--data FOLDER] [--count N] [--seed N] [--only SUBSTRING] [--report FILE]

Every kind of tokenizer gets the same texts (strings.py), but for its own special tokens. Compared: ids with and without special
tokens, decoded text, and the text of random ids. Differences are shown with the text's number; exit code 1 when there is one.
"""

import argparse
import concurrent.futures
import contextlib
import importlib.metadata
import json
import pathlib
import platform
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import kinds  # noqa: E402
import strings  # noqa: E402

CHUNK = 5000
SHOWN = 5


class Refused(Exception):
    """Corbel says by name what it does not support."""


class Corbel:
    """One `corbel tokenize --jsonl`, spoken with in chunks."""

    def __init__(self, command, path):
        self.process = subprocess.Popen([command, "tokenize", str(path), "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="surrogatepass")

    def ask(self, rows):
        """Starts on the rows; the result is called for the answers."""
        answers = []
        def write():
            try:
                for row in rows:
                    self.process.stdin.write(json.dumps(row) + "\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                pass
        def read():
            for _ in rows:
                line = self.process.stdout.readline()
                if not line:
                    return
                answers.append(json.loads(line))
        threads = [threading.Thread(target=write), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        def finish():
            for thread in threads:
                thread.join()
            if len(answers) != len(rows):
                why = self.process.stderr.read().strip()
                raise (Refused if "not supported" in why else RuntimeError)(f"corbel stopped: {why}")
            return answers
        return finish

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # it left by itself: ask() said why
            self.process.stdin.close()
        self.process.wait()


class Tally:
    shown = 0  # of this tokenizer's differences

    def __init__(self, name):
        self.name, self.texts, self.id_lists, self.bytes, self.left_out, self.differences, self.shown_tenth, self.refused = name, 0, 0, 0, 0, 0, 0, 0

    def differs(self, what, number, given, ours, theirs):
        self.differences += 1
        self.shown += 1
        if self.shown <= SHOWN:
            print(f"\n  {self.name}: {what} of text {number} differs\n    given  {given!r}\n    corbel {ours!r}\n    oracle {theirs!r}", flush=True)


def random_ids(rng, size, count):
    return [[rng.randrange(size) for _ in range(rng.randint(1, 12))] for _ in range(count)]


def compare(subject, tally, args, numbers):
    """One tokenizer on the texts of those numbers."""
    corbel = Corbel(args.corbel, subject.path)
    tally.shown = 0
    tokens = sorted(subject.oracle.tokens)
    try:
        for first in range(numbers.start, numbers.stop, CHUNK):
            chosen = []
            for number in range(first, min(first + CHUNK, numbers.stop)):
                text = strings.text(args.seed, number, tokens)
                if any(part in text for part in subject.oracle.avoid) or subject.leave_out(text):
                    tally.left_out += 1
                    continue
                chosen.append((number, text))
            texts = [text for _, text in chosen]
            finish = corbel.ask([{"text": text} for text in texts])
            with_special, without = subject.oracle.encode(texts)
            ours = finish()
            decoded = subject.oracle.decode(without if subject.bare else with_special)
            for (number, text), a, b, c, row in zip(chosen, with_special, without, decoded, ours):
                if a is None or b is None or c is None:
                    tally.left_out += 1
                    tally.texts -= 1
                elif "ids" not in row or (row["ids"] != a and not subject.bare):
                    tally.differs("ids", number, text, row.get("ids", row), a)
                elif row["ids_no_special"] != b:
                    tally.differs("ids_no_special", number, text, row["ids_no_special"], b)
                elif row["decoded"] != c:
                    tally.differs("decoded", number, text, row["decoded"], c)
            tally.texts += len(texts)
            tally.bytes += sum(len(text.encode()) for text in texts)
            if subject.decodes_any_ids:
                lists = random_ids(random.Random(args.seed * 7919 + first), subject.oracle.vocab_size(), len(texts) // 10)
                finish = corbel.ask([{"ids": ids} for ids in lists])
                theirs = subject.oracle.decode(lists)
                for ids, a, row in zip(lists, theirs, finish()):
                    if a is not None and row.get("decoded") != a:
                        tally.differs("text of random ids", first, ids, row.get("decoded", row), a)
                tally.id_lists += len(lists)
            show(tally, args)
    finally:
        corbel.close()


def show(tally, args, done=False):
    """One line that moves; side by side, a line for every tenth."""
    passed = time.monotonic() - tally.started
    seen = tally.texts + tally.left_out
    tenth = 10 * seen // max(args.count, 1)
    if args.jobs > 1 and not done and tenth == tally.shown_tenth:
        return
    tally.shown_tenth = tenth
    rate = seen / max(passed, 1e-9)
    left = (args.count - seen) / max(rate, 1e-9)
    when = f"{passed:>6.0f} s" if done else f"{max(left, 0):>5.0f} s left  "
    line = f"{tally.name:<28} {tally.texts:>9} texts {rate:>8.0f}/s  {tally.differences} differences  {when}"
    print(line if args.jobs > 1 else "\r" + line, end="\n" if done or args.jobs > 1 else "", flush=True)


def report(args, tallies, skipped):
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("tokenizers", "sentencepiece", "tiktoken"))
    lines = ["# Differential fuzzing of the tokenizers", "",
             f"`make fuzz-tokenizer COUNT={args.count} SEED={args.seed}`: random texts (`tools/fuzz_tokenizer/strings.py`: many scripts, code, white",
             "space, combining marks, emoji, control characters, special tokens whole and broken) through `corbel tokenize --jsonl` and through",
             "the library that defines the right answer. Compared: ids with and without special tokens, decoded text of those ids, and",
             "(where given) the text of lists of random ids.", "",
             f"Oracles: {versions} (Python {platform.python_version()}). Seed {args.seed}.", "",
             "| kind | oracle | texts | MB | id lists | left out | differences |", "|---|---|---:|---:|---:|---:|---:|"]
    for tally in tallies:
        lines.append(f"| {tally.name} | {tally.oracle} | {tally.texts:,} | {tally.bytes / 1e6:.1f} | {tally.id_lists:,} | {tally.left_out:,} | "
                     f"{tally.differences if tally.differences else 'none'} |")
    total = sum(tally.texts for tally in tallies)
    lines += ["", f"Together {total:,} texts, {sum(tally.differences for tally in tallies)} differences.", ""]
    lines += [f"{tally.name}: {tally.refused} tokenizers were refused by name." for tally in tallies if tally.refused]
    lines += [f"Not run: {name} ({why})." for name, why in skipped]
    lines += kinds.LEFT_OUT_NOTES
    pathlib.Path(args.report).write_text("\n".join(lines).rstrip() + "\n")


def run_kind(name, args):
    kind = next(kind for kind in kinds.all_kinds(args.data, args.work, args.seed) if kind.name == name)
    tally = Tally(kind.name)
    tally.oracle, tally.started = kind.oracle_name, time.monotonic()
    first = 0
    try:
        for subject, share in kind.subjects(args.count):
            share = min(share, args.count - first)
            try:
                compare(subject, tally, args, range(first, first + share))
            except Refused:
                tally.refused += 1
                continue
            first += share
            if first == args.count:
                break
    except Exception as error:  # a crash of either side is a finding, and the other kinds go on
        tally.differences += 1
        print(f"\n  {tally.name}: stopped at text {first}: {type(error).__name__}: {error}", flush=True)
    show(tally, args, done=True)
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corbel", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=1, help="kinds side by side")
    parser.add_argument("--report")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    known = [kind for kind in kinds.all_kinds(args.data, args.work, args.seed) if args.only in kind.name]
    skipped = [(kind.name, kind.missing) for kind in known if kind.missing]
    for name, why in skipped:
        print(f"{name:<28} not run: {why}")
    names = [kind.name for kind in known if not kind.missing]
    if args.jobs == 1:
        tallies = [run_kind(name, args) for name in names]
    else:
        with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
            tallies = list(pool.map(run_kind, names, [args] * len(names)))
    if args.report:
        report(args, tallies, skipped)
    found = sum(tally.differences for tally in tallies)
    print(f"{len(tallies)} kinds, {sum(tally.texts for tally in tallies):,} texts, {found} differences")
    return 1 if found or not tallies else 0


if __name__ == "__main__":
    sys.exit(main())
