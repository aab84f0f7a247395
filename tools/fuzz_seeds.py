#!/usr/bin/env python3
"""Writes seeds for the fuzz targets from the goldens: usage: fuzz_seeds.py FOLDER   (FOLDER/TARGET/N, at most 60 a target)"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = ROOT / "corbel/text/goldens"
MOST = 60


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def tokenizer_files():
    for row in rows(TEXT / "models.jsonl") + rows(TEXT / "bpe.jsonl"):
        file = row.get("file") or row.get("tokenizer")
        if file and len(json.dumps(file)) < 20000:
            yield json.dumps(file).encode()
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"}
    for row in rows(TEXT / "stages.jsonl"):
        if "config" in row:
            yield json.dumps({"added_tokens": [], row["stage"]: row["config"], "model": model}).encode()


def templates():
    for row in rows(TEXT / "jinja.jsonl"):
        if "source" in row:
            yield row["source"].encode()


def regexes():
    for row in rows(TEXT / "regexes.jsonl"):
        pattern = row.get("pattern") or row.get("regex")
        if pattern:
            yield f"{pattern}\nIt's 12 a\u4e2d\u0301 \r\n".encode()


def answers():
    for number, path in enumerate(sorted((ROOT / "corbel/chat/tool_call_cases").glob("*.jsonl"))):
        for row in rows(path)[::10]:
            yield bytes([number, 1, 2, 3, 3]) + row["text"].encode(errors="replace")


def gguf_models():
    for path in sorted((ROOT / "tests/gguf/models").glob("*.gguf")):
        yield path.read_bytes()


def main():
    for name, made in (("gguf_model", gguf_models()), ("tokenizer_json", tokenizer_files()), ("chat_template", templates()), ("regex", regexes()), ("tool_calls", answers())):
        seeds = list(made)
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds[:: max(1, len(seeds) // MOST)]):
            (folder / str(number)).write_bytes(seed)


if __name__ == "__main__":
    main()
