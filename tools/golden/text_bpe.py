#!/usr/bin/env python3
"""Records what Hugging Face tokenizers makes of small random BPE models of every kind.

  tools/golden/text_bpe.py > corbel/text/goldens/bpe.jsonl      (needs: pip install tokenizers==0.23.3)

The first line names the version; each other line is {"tokenizer": tokenizer.json, "cases": [[text, ids], ...]}.
"""
import json
import random
import sys

import tokenizers
from tokenizers import Tokenizer

CHARS = ["a", "b", "c", "<", " ", "\u00e9", "\u4e2d", "\U0001f642"]
KINDS = [
    {},
    {"unk_token": "<unk>"},
    {"unk_token": "<unk>", "fuse_unk": True},
    {"byte_fallback": True},
    {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True},
    {"byte_fallback": True, "unk_token": "<unk>", "missing_bytes": True},
    {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True, "missing_bytes": True},
    {"continuing_subword_prefix": "##", "unk_token": "<unk>"},
    {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>", "byte_fallback": True},
    {"end_of_word_suffix": "</w>", "unk_token": "<unk>", "fuse_unk": True},
    {"end_of_word_suffix": "</w>", "ignore_merges": True},
    {"ignore_merges": True},
    {"ignore_merges": True, "unk_token": "<unk>"},
    {"byte_level": True},
    {"byte_level": True, "ignore_merges": True},
    {"byte_level": True, "unk_token": "<unk>", "missing_bytes": True},
    {"byte_level": True, "unk_token": "<unk>", "fuse_unk": True, "missing_bytes": True},
    {"byte_level": True, "byte_fallback": True, "missing_bytes": True},
    {"byte_level": True, "missing_bytes": True},
]


def byte_chars():
    """The visible character of each byte, as ByteLevel spells it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    table.update({byte: chr(256 + i) for i, byte in enumerate(rest)})
    return table


def symbols_of(kind, rng):
    """Symbols as the vocabulary spells them, and those that a word's first, inner and last place can have."""
    if kind.get("byte_level"):
        spell = byte_chars()
        used = sorted({byte for char in CHARS for byte in char.encode()})
        if kind.get("missing_bytes"):
            used = [byte for byte in used if rng.random() < 0.8]
        return [spell[byte] for byte in used]
    known = [char for char in CHARS if rng.random() < 0.7] or ["a"]
    prefix = kind.get("continuing_subword_prefix", "")
    suffix = kind.get("end_of_word_suffix", "")
    spelled = {p + char + s for char in known for p in {"", prefix} for s in {"", suffix}}
    return sorted(spelled)


def make(kind, rng):
    vocab = {}

    def add(token):
        vocab.setdefault(token, len(vocab))

    if "unk_token" in kind:
        add(kind["unk_token"])
    if kind.get("byte_fallback"):
        for byte in range(256):
            if not kind.get("missing_bytes") or rng.random() < 0.85:
                add(f"<0x{byte:02X}>")
    pool = symbols_of(kind, rng)
    for symbol in pool:
        add(symbol)
    prefix, suffix = kind.get("continuing_subword_prefix", ""), kind.get("end_of_word_suffix", "")
    merges = []
    for _ in range(300):
        left, right = rng.choice(pool), rng.choice(pool)
        if (suffix and left.endswith(suffix)) or (prefix and not right.startswith(prefix)):
            continue
        merged = left + right[len(prefix) :]
        if len(merged) > 12 or [left, right] in merges:
            continue
        merges.append([left, right])
        if merged not in vocab:
            add(merged)
            pool.append(merged)
        if len(merges) == 24:
            break
    if kind.get("ignore_merges"):  # tokens that no merge makes
        for _ in range(6):
            add("".join(rng.choice(pool) for _ in range(3)))
    if rng.random() < 0.5:
        rng.shuffle(merges)
    as_lines = rng.random() < 0.5 and not any(" " in side for merge in merges for side in merge)
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model.update({key: value for key, value in kind.items() if key in model})
    model["vocab"] = vocab
    model["merges"] = [" ".join(merge) for merge in merges] if as_lines else merges
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": byte_level if kind.get("byte_level") else None, "post_processor": None,
            "decoder": None, "model": model}


def texts(rng):
    for length in [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 40, 64, 90]:
        yield "".join(rng.choice(CHARS) for _ in range(length))
    for length in [4, 7, 60, 130]:
        yield "".join(rng.choice(CHARS[:3]) for _ in range(length))


def main():
    print(json.dumps({"tokenizers": tokenizers.__version__, "python": sys.version.split()[0]}))
    for seed in range(2):
        for number, kind in enumerate(KINDS):
            rng = random.Random(seed * 1000 + number)
            file = make(kind, rng)
            text = json.dumps(file, ensure_ascii=False)
            tokenizer = Tokenizer.from_str(text)
            words = [*texts(rng), *rng.sample(sorted(file["model"]["vocab"]), 4)]
            cases = [[word, tokenizer.encode(word, add_special_tokens=False).ids] for word in words]
            print(json.dumps({"tokenizer": file, "cases": cases}, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
