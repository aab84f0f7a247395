#!/usr/bin/env python3
"""Records what the models Unigram, WordPiece and WordLevel make of small texts -> corbel/text/goldens/models.jsonl.

Oracle: Hugging Face `tokenizers` (its version stands in the first line of the file).
Each further line: {"name", "file": a tokenizer.json, "cases": [[text, ids or null where the oracle refuses], ...]}.
"""
import json
import pathlib
import random

import tokenizers

OUT = pathlib.Path(__file__).resolve().parents[2] / "corbel/text/goldens/models.jsonl"
UNKNOWN = ["\u2603", "\u2604", "\U0001F600", "\u00e9", "\0", "\u4f60"]


def file_of(model, pre_tokenizer=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": None, "model": model}


def unigram(vocab, unk_id=0, **more):
    return {"type": "Unigram", "unk_id": unk_id, "vocab": vocab, **more}


def word_piece(tokens, **more):
    settings = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100}
    return {**settings, **more, "vocab": {token: i for i, token in enumerate(tokens)}}


def word_level(tokens, unk="[UNK]"):
    return {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(tokens)}, "unk_token": unk}


def texts(rng, alphabet, count, most=12):
    return ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, most))) for _ in range(count)]


def random_unigram(rng, alphabet, tokens, scores, **more):
    words = {"".join(rng.choice(alphabet) for _ in range(rng.randint(1, 4))) for _ in range(tokens)}
    words = sorted(words | set(rng.sample(alphabet, len(alphabet) - 1)))
    rng.shuffle(words)
    return unigram([["<unk>", rng.choice(scores)]] + [[word, rng.choice(scores)] for word in words], **more)


def unigrams(rng):
    abc = ["a", "b", "c"]
    wild = abc + UNKNOWN
    equal = [["<unk>", 0]] + [[t, -1] for t in ["a", "b", "c", "ab", "bc", "abc", "aa", "aaa", "aaaa"]]
    yield "equal scores", unigram(equal), texts(rng, abc, 30) + ["a" * n for n in range(1, 14)]
    tie = [["<unk>", 0], ["-", -2], ["--", -4], ["---", -6], ["----", -8]]
    yield "sums that tie", unigram(tie), ["-" * n for n in range(1, 14)] + ["--x--", "x----------x"]
    tenth = [["<unk>", 0], ["-", -0.1], ["--", -0.2], ["---", -0.3], ["-----", -0.5]]
    yield "sums that tie but for rounding", unigram(tenth), ["-" * n for n in range(1, 30)]
    many = [["<unk>", 0], ["a", -1], ["b", -2], ["<unk>a", -3], ["ab\u2603", -30]]
    yield "unknowns next to each other", unigram(many), texts(rng, wild, 30) + [
        "<unk>", "<unk><unk>", "a<unk>b", "\u2603<unk>", "<unk>\u2603<unk>a", "\u2603\u2604", "ab\u2603\u2603", "<unk"]
    yield "no unknown token", unigram(equal, None), ["abc", "abx", "x", "<unk>", "\u2603", "a\0"]
    yield "only a longer token", unigram([["xy", -1], ["a", -1]], None), ["xy", "xyxy", "axy", "yx"]
    yield "only a longer token, unknown known", unigram([["<unk>", 0], ["xy", -1], ["a", -1]]), ["xy", "yx", "xxy", "x"]
    yield "positive scores", unigram([["<unk>", 20], ["xy", 20], ["a", 21], ["\u2603\u2604", 20]]), [
        "xy", "xyxy", "yx", "\u2603\u2604", "\u2604\u2603\u2604", "a\u2603\u2604a", "xyx"]
    yield "an unknown run that is a token", unigram([["<unk>", 100], ["xy", 5], ["a", -3]]), ["xy", "axya", "yxy"]
    yield "huge scores", unigram([["<unk>", 0], ["a", 1e308], ["b", 1e308], ["ab", -1e308]]), ["ab", "abab", "ba", "bb"]
    yield "tiny differences", unigram([["<unk>", 0], ["a", -1], ["b", -1], ["ab", -2.0000000000000004],
                                       ["ba", -1.9999999999999998]]), texts(rng, ["a", "b"], 20)
    for i in range(4):  # sums that tie but for how the reader rounds 17 digits, and how far the text has gone
        digits = [["<unk>", 0]] + [[token, -rng.uniform(5, 12)] for token in ("-", "---", "x")]
        yield f"scores of 17 digits {i}", unigram(digits), ["-" * n for n in range(4, 40)] + [
            "x" * far + "-" * n for far in (600, 1200) for n in (7, 10, 11, 13)]
    yield "no vocabulary", unigram([], None), ["a"]
    yield "unknown alone", unigram([["<unk>", -1]]), ["a", "<unk>", "\u2603\u2604", "a<unk>"]
    yield "an empty token", unigram([["<unk>", 0], ["", 5], ["a", -1], ["ab", -3], ["b", -1]]), ["a", "ab", "abc"]
    yield "a token of NUL", unigram([["<unk>", 0], ["\0", -1], ["\0\0", -1.5], ["a\0", -1]]), ["\0", "\0\0\0", "a\0\0", "a"]
    yield "astral characters", unigram([["<unk>", 0], ["\U0001F600", -1], ["\U0001F600\U0001F601", -1.5],
                                        ["\U0010FFFF", -2]]), [
        "\U0001F600", "\U0001F600\U0001F601", "\U0001F601\U0001F600", "\U0010FFFF\U0010FFFE", "\u4f60\U0001F600"]
    long = "abcdefgh" * 40
    yield "long tokens", unigram([["<unk>", 0], [long, -1], [long[:-1], -1], ["ab", -4], ["cdefgh", -2]]), [
        long, long[:-1], long[:-2], long + "ab", long * 2, "ab" * 700, (long + "x") * 3]
    every = [[f"<0x{i:02X}>", -5] for i in range(256)]
    yield "byte fallback", unigram([["<unk>", 0], ["a", -1], ["ab", -2]] + every, byte_fallback=True), texts(
        rng, wild, 20) + ["<0x41>", "<0x4", "\u2603<unk>", "<unk>", "a<unk>\u00e9"]
    some = [e for e in every if e[0] != "<0x98>"][:200]
    yield "byte fallback with bytes missing", unigram([["<unk>", 0], ["a", -1]] + some, byte_fallback=True), texts(
        rng, wild, 20) + ["\u2603", "\u2604", "\u2603\u2604", "x\u2603", "xa\u2603", "x"]
    yield "byte tokens without fallback", unigram([["<unk>", 0]] + every[:130]), ["a", "<0x41>", "\u2603"]
    yield "byte fallback, no unknown", unigram([["a", -1]] + every, None, byte_fallback=True), ["a", "b", "a\u2603"]
    yield "unknown in the middle", unigram([["a", -1], ["<unk>", -2], ["b", -1]], 1), ["ab", "x", "xay", "<unk>x"]
    yield "bytes as characters", unigram([["<unk>", 0], ["\u0120a", -1], ["a", -1], ["\u00c3", -2], ["\u0120", -3],
                                          ["\u00a9", -1]]), [" a", "a a", "\u00e9", "a\u00e9 b", "\n"]
    for i in range(12):
        scores = [[-1, -2, -3], [-0.1, -0.2, -0.3, -0.7], [-1.5], [-2.3, -4.6, -6.9, -11.5], [0, -1, 1]][i % 5]
        fallback = {"byte_fallback": True} if i % 3 == 2 else {}
        yield f"random {i}", random_unigram(rng, wild, 25, scores, **fallback), texts(rng, wild, 25, 16)


def word_pieces(rng):
    base = ["[UNK]", "a", "b", "##a", "##b", "ab", "##ab", "abc", "##bc", "##\u2603", "\U0001F600", "##\U0001F600", "#"]
    letters = ["a", "b", "c", "\u2603", "\U0001F600", "#"]
    yield "word pieces", word_piece(base), texts(rng, letters, 60, 8) + ["##a", "##", "a##b", "[UNK]", "\0", "[UNK]a"]
    yield "no prefix", word_piece(["[UNK]", "a", "ab", "b", "c"], continuing_subword_prefix=""), texts(
        rng, ["a", "b", "c", "d"], 25, 6)
    yield "prefix is a token", word_piece(["[UNK]", "a", "##", "##b"]), ["a", "ab", "a##", "##", "##b", "a##b"]
    yield "one continuing token", word_piece(["[UNK]", "a", "##bcd"]), ["abcd", "abc", "abcdbcd", "bcd", "##bcd"]
    yield "short words only", word_piece(base, max_input_chars_per_word=3), texts(rng, letters, 25, 6)
    yield "no word fits", word_piece(base, max_input_chars_per_word=0), ["a", "ab"]
    yield "words of any length", word_piece(base, max_input_chars_per_word=2**40), ["ab" * 200, "\U0001F600" * 150]
    yield "exactly a hundred", word_piece(base), ["a" * 100, "a" * 101, "\U0001F600" * 100, "\U0001F600" * 101]
    yield "unknown token missing", word_piece(["a", "##b"]), ["ab", "b", "a"]
    yield "no tokens", word_piece([]), ["a"]
    yield "other prefix", word_piece(["[UNK]", "a", "@@a", "@@b\u00e9"], continuing_subword_prefix="@@"), [
        "aa", "ab\u00e9", "ab", "@@a", "a@@a"]
    yield "a bad end", word_piece(["[UNK]", "un", "##aff", "##able", "##a", "##b"]), [
        "unaffable", "unaffablex", "unab", "una", "aff"]


def word_levels():
    yield "whole words", word_level(["[UNK]", "ab", "\u2603", "\0", "a"]), ["ab", "a", "b", "\u2603", "\0", "abab", "[UNK]"]
    yield "no unknown word", word_level(["ab"], "[UNK]"), ["ab", "x"]
    yield "unknown spelled empty", word_level(["ab", ""], ""), ["ab", "x"]
    yield "no words", word_level([]), ["a"]


def untyped(model):
    return {key: value for key, value in model.items() if key != "type"}


def main():
    rng = random.Random(1804)
    levels = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    lines = []
    sets = [*unigrams(rng), *word_pieces(rng), *word_levels()]
    sets += [(f"{name}, type left out", untyped(model), cases) for name, model, cases in sets
             if name in ("equal scores", "word pieces", "whole words", "no unknown token")]
    for name, model, cases in sets:
        file = file_of(model, levels if name == "bytes as characters" else None)
        oracle = tokenizers.Tokenizer.from_str(json.dumps(file))
        answers = []
        for text in cases:
            try:
                answers.append([text, oracle.encode(text).ids])
            except Exception:  # the binding raises plain Exception
                answers.append([text, None])
        lines.append({"name": name, "file": file, "cases": answers})
    with OUT.open("w") as out:
        out.write(json.dumps({"oracle": f"tokenizers {tokenizers.__version__}", "seed": 1804}) + "\n")
        for line in lines:
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
