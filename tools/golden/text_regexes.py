#!/usr/bin/env python3
"""Records where the regexes of real tokenizer files cut random text, by the Oniguruma inside Hugging Face tokenizers.

  tools/golden/text_regexes.py > corbel/text/goldens/regexes.jsonl      (needs: pip install tokenizers==0.23.3)

Lines: {"tokenizers": version}; {"texts": [...]}; then per regex {"regex", "cuts": [[ends of pieces in bytes], ...]};
then per class {"class", "ranges": [[first, last], ...]} with all code points that it matches.
"""
import json
import random

import tokenizers
from tokenizers import Regex, pre_tokenizers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
O200K_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?"
O200K_LOWER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?"
REGEXES = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "|".join([O200K_UPPER, O200K_LOWER, r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    "|".join([O200K_UPPER.replace(CONTRACTIONS + "?", ""), O200K_LOWER.replace(CONTRACTIONS + "?", ""),
              r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
    + CONTRACTIONS + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    "\\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "[\\s]?[\\p{L}\\p{M}]+|[\\s]?[\\p{P}\\p{S}]+",
    "[0-9][0-9][0-9]",
    " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    r"\w+|[^\w\s]+",
    r"\b\w\w\b",
    r"(?:^|\n)[ \t]*\S+$",
    r"(?m)a.+?b",
    r"(?<=\d)(?=(\d{3})+(?!\d))",
    r"[\r\n]|\s?[A-Za-z\u00e0-\u00ff]+|\s?\d|.",
    r"\h+|\X",
]
CLASSES = [r"\w", r"[\w]", r"[^\w]", r"\s", r"[\s]", r"[^\S]", r"\d", r"\p{L}", r"\p{N}", r"\p{P}"]
PARTS = ["'", "s", "S", "re", "LL", " ", "  ", "\t", "\n", "\r\n", "\r", "a", "b", "Z", "7", "42", "1234567", "!", "-",
         "_", "(", "|", ")", "[", "]", ".", "\u00e9", "\u017f", "\u00bd", "\u2163", "\u4e2d", "\u6587", "\u3042", "\u3002",
         "\uff0c", "\u3000", "\u0085", "\u00a0", "\ufeff", "\u180e", "\u0301", "\u0308", "\u01c5", "\u02b0",
         "\U0001F600", "\u200d", "\u0664", "\u24b6", "Hello", "world", "\u060c", "$", "+", "\u20ac"]


def cuts(split, text):
    ends, at = [], 0
    for piece, _ in split.pre_tokenize_str(text):
        at += len(piece.encode())
        ends.append(at)
    return ends


def main():
    rng = random.Random(20260120)
    texts = ["".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 28))) for _ in range(90)]
    print(json.dumps({"tokenizers": tokenizers.__version__}))
    print(json.dumps({"texts": texts}))
    for regex in REGEXES:
        split = pre_tokenizers.Split(Regex(regex), "isolated")
        print(json.dumps({"regex": regex, "cuts": [cuts(split, text) for text in texts]}, separators=(",", ":")))
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for name in CLASSES:
        split = pre_tokenizers.Split(Regex(name), "removed")
        left = {ord(char) for piece, _ in split.pre_tokenize_str("".join(map(chr, codes))) for char in piece}
        ranges = []
        for code in codes:
            if code in left:
                continue
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
        print(json.dumps({"class": name, "ranges": ranges}, separators=(",", ":")))


if __name__ == "__main__":
    main()
