#!/usr/bin/env python3
"""Records where the regexes of real tokenizer files cut random text, by the Oniguruma inside Hugging Face tokenizers.

  tools/golden/text_regexes.py > corbel/text/goldens/regexes.jsonl      (needs: pip install tokenizers==0.23.3)

Lines: {"tokenizers": version}; {"texts": [...]}; then per regex {"regex", "cuts": [[ends of pieces in bytes], ...]};
then per class {"class", "same": [other spellings], "lengths"} with all code points that it matches:
hexadecimal lengths of runs, by turns outside and inside it.
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
# A second name: the same set in another spelling. ^: its complement.
CLASSES = [
    [r"\w", r"^\W"],
    [r"[\w]", r"^[\W]", r"[^\W]", r"[[:word:]]", r"^[^\w]"],
    [r"\s", r"[\s]", r"[^\S]", r"^\S", r"[[:space:]]"],
    [r"\d", r"\p{Nd}", r"[[:digit:]]", r"^[\D]", r"^\D"],
    [r"\p{L}", r"^\P{L}", r"^\p{^L}", r"^[\P{L}]", r"[^\P{L}]", r"\p{Letter}"],
    [r"\p{M}", r"^\P{M}"],
    [r"\p{N}", r"^[^\p{N}]"],
    [r"\p{P}", r"\p{Punct}"],
    [r"\p{S}", r"[\p{S}&&[^\p{P}]]"],
    [r"\p{Alphabetic}", r"[[:alpha:]]", r"^[[:^alpha:]]"],
    [r"\p{Lu}", r"[[:upper:]&&\p{Lu}]"],
    [r"\p{Lowercase}", r"[[:lower:]]"],
    [r"\p{Han}", r"^\P{Han}"],
    [r"\p{Kawi}"],
    [r"\p{Cn}", r"^\P{Cn}", r"[\p{Cn}]"],
    [r"\p{Mc}"],
    [r"\p{Mn}"],
    [r"\p{No}"],
    [r"\p{Pc}"],
    [r"\p{Lm}"],
    [r"[[:punct:]]"],
    [r"[[:alnum:]]"],
]
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


def matched(codes, name):
    split = pre_tokenizers.Split(Regex(name), "removed")
    left = {ord(char) for piece, _ in split.pre_tokenize_str("".join(map(chr, codes))) for char in piece}
    return {code for code in codes if code not in left}


def main():
    rng = random.Random(20260120)
    texts = ["".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 28))) for _ in range(90)]
    print(json.dumps({"tokenizers": tokenizers.__version__}))
    print(json.dumps({"texts": texts}))
    for regex in REGEXES:
        split = pre_tokenizers.Split(Regex(regex), "isolated")
        print(json.dumps({"regex": regex, "cuts": [cuts(split, text) for text in texts]}, separators=(",", ":")))
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for name, *same in CLASSES:
        found = matched(codes, name)
        for other in same:
            assert found == (set(codes) - matched(codes, other[1:]) if other[0] == "^" else matched(codes, other)), other
        lengths, at, inside = [], 0, False
        for code in range(0x110001):
            if (code in found) != inside:
                lengths.append(f"{code - at:x}")
                at, inside = code, not inside
        print(json.dumps({"class": name, "same": same, "lengths": " ".join(lengths)}, separators=(",", ":")))


if __name__ == "__main__":
    main()
