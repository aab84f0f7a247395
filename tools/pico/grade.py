"""Grades pico on held-out questions and openers, greedily.

    python3 tools/pico/grade.py [--model share/pico] [--corbel build/release/corbel] [--json]
    python  tools/pico/grade.py --python             with torch and transformers instead of the command

A question is right when its answer contains a member of every group of keywords. An opener is right when the answer is a
full sentence (at least four words, an end, no endless repetition) and, outside of pico's domain, says what pico is.
Exit code 1 below 80% of the questions or below all openers.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable

from topics import missing_keys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QUESTIONS_AT_LEAST = 0.80
OUTSIDE = [["small"], ["demonstration"], ["corbel chat", "--model"]]
Row = dict[str, object]
Answerer = Callable[[list[str]], list[str]]


def read_rows(name: str) -> list[Row]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def repeats(answer: str) -> bool:
    """Some four words in a row occur three times."""
    words = [word.strip(".,:;!?") for word in answer.lower().split()]
    fours = [" ".join(words[i : i + 4]) for i in range(len(words) - 3)]
    return any(fours.count(four) >= 3 for four in fours)


def faults(row: Row, answer: str, is_opener: bool) -> list[str]:
    """Why the answer is not accepted; empty when it is."""
    found = []
    if repeats(answer):
        found.append("repeats itself")
    if not is_opener:
        return found + [f"lacks {'|'.join(keys)}" for keys in missing_keys(answer, row["must"])]  # type: ignore[arg-type]
    if answer[-1:] not in (".", "!", "?"):
        found.append("does not end a sentence")
    if len(answer.split()) < 4:
        found.append("has fewer than four words")
    if row["group"] == "outside":
        found += [f"lacks {'|'.join(keys)}" for keys in missing_keys(answer, OUTSIDE)]
    return found


def command_answerer(corbel: pathlib.Path, model: pathlib.Path, tokens: int) -> Answerer:
    """Asks the built command; a failing command stops the grading with its message."""

    def answer(text: str) -> str:
        command = [str(corbel), "run", "--model", str(model), "--temperature", "0", "--max-tokens", str(tokens), "--", text]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    return lambda texts: [answer(text) for text in texts]


def python_answerer(model: pathlib.Path, tokens: int) -> Answerer:
    """Asks transformers in fp32 on the bf16 weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)

    def answer(texts: list[str]) -> list[str]:
        chats = [[{"role": "user", "content": text}] for text in texts]
        prompts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        inputs = tokenizer(prompts, add_special_tokens=False, return_tensors="pt", padding=True)
        with torch.no_grad():
            out = network.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in out[:, inputs.input_ids.shape[1] :]]

    return lambda texts: [line for i in range(0, len(texts), 32) for line in answer(texts[i : i + 32])]


def grade(rows: list[Row], answer: Answerer, is_opener: bool) -> list[Row]:
    answers = answer([str(row["text"]) for row in rows])
    return [{**row, "answer": text, "faults": faults(row, text, is_opener)} for row, text in zip(rows, answers)]


def print_table(title: str, graded: list[Row]) -> None:
    groups = list(dict.fromkeys(str(row["group"]) for row in graded))
    print(f"{title:<12} {'right':>6} {'of':>6} {'share':>8}")
    for group in [*groups, "total"]:
        rows = [row for row in graded if group in (row["group"], "total")]
        right = sum(not row["faults"] for row in rows)
        print(f"  {group:<10} {right:>6} {len(rows):>6} {right / len(rows):>8.1%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "share" / "pico")
    parser.add_argument("--corbel", type=pathlib.Path, default=ROOT / "build" / "release" / "corbel")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--python", action="store_true", help="use transformers instead of the command")
    parser.add_argument("--json", action="store_true", help="print every answer as JSON")
    parser.add_argument("--show", action="store_true", help="print the answers that were not accepted")
    options = parser.parse_args()
    if options.python:
        answer = python_answerer(options.model, options.max_tokens)
    else:
        answer = command_answerer(options.corbel, options.model, options.max_tokens)
    questions = grade(read_rows("heldout.jsonl"), answer, is_opener=False)
    openers = grade(read_rows("openers.jsonl"), answer, is_opener=True)
    right_questions = sum(not row["faults"] for row in questions)
    right_openers = sum(not row["faults"] for row in openers)
    passed = right_questions >= QUESTIONS_AT_LEAST * len(questions) and right_openers == len(openers)
    if options.json:
        print(json.dumps({"passed": passed, "questions": questions, "openers": openers}, ensure_ascii=False, indent=1))
    else:
        print_table("questions", questions)
        print_table("openers", openers)
        print("passed" if passed else "failed: needs 80% of the questions and all openers")
    if options.show:
        for row in questions + openers:
            if row["faults"]:
                print(f"\n{row['text']}\n  {row['answer']}\n  {'; '.join(row['faults'])}")  # type: ignore[arg-type]
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
