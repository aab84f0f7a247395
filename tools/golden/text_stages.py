#!/usr/bin/env python3
"""Records what every stage of Hugging Face's tokenizers does with nasty texts: corbel/text/goldens/stages.jsonl.

One row a stage: {"stage", "config" (as in tokenizer.json), "in": [...], "out": [...]}. Texts for normalizers and pre-tokenizers, lists of
tokens for decoders; a post-processor's out is what it puts before and after. The first row names the versions.
Usage: python3 tools/golden/text_stages.py
"""
import json
import pathlib
import random

import tokenizers
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}


def charsmap(entries):
    """A precompiled charsmap (base64) of {text: replacement}: one unit per trie node, placed first fit."""
    import base64
    import struct
    blob, values = b"", {}
    for key, replacement in entries.items():
        values[key.encode()] = len(blob)
        blob += replacement.encode() + b"\0"
    units = {0: 0}

    def place(prefix, node):
        children = sorted({key[len(prefix)] for key in values if key.startswith(prefix) and len(key) > len(prefix)})
        leaf = prefix in values
        labels = ([0] if leaf else []) + children
        if not labels:
            return
        base = 256
        while any((base ^ label) in units for label in labels) or (base ^ node) >= 1 << 21:
            base += 1
        for label in labels:
            units[base ^ label] = label
        units[node] |= (base ^ node) << 10 | (0x100 if leaf else 0)
        if leaf:
            units[base] = 0x80000000 | values[prefix]
        for child in children:
            place(prefix + bytes([child]), base ^ child)

    place(b"", 0)
    size = (max(units) | 255) + 1
    trie = b"".join(struct.pack("<I", units.get(i, 0xFE)) for i in range(size))
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + blob).decode()


MAP = {"type": "Precompiled", "precompiled_charsmap": charsmap(
    {"\u00bd": "1/2", "e\u0301": "\u00e9", "e": "E", "\r": " ", "\x01": "", "\u1100\u1161": "\uac00", "\u0301": "'",
     "\U0001f600": ":)", "\u0915": "ka", "ab": "X", "\uff21": "A", "\u0430\u0306": "y", "\u0430": "a"})}


def kinds(name, *rows):
    return [{"type": name, **row} for row in (rows or [{}])]


NORMALIZERS = [
    *[{"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")],
    *kinds("Strip", *[{"strip_left": left, "strip_right": right} for left in (True, False) for right in (True, False)]),
    *kinds("Prepend", {"prepend": "\u2581"}, {"prepend": ""}),
    *kinds("Replace", {"pattern": {"String": " "}, "content": "\u2581"}, {"pattern": {"String": "aa"}, "content": "a"},
           {"pattern": {"String": ""}, "content": "-"}, {"pattern": {"Regex": " {2,}"}, "content": " "},
           {"pattern": {"Regex": "^\\s+|\\s+$"}, "content": ""}, {"pattern": {"Regex": "x*"}, "content": "-"},
           {"pattern": {"Regex": "(\\w)(\\d)"}, "content": "$1\\1"}),
    *kinds("BertNormalizer", *[
        {"clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": strip, "lowercase": lower}
        for clean in (True, False) for chinese in (True, False) for strip in (None, True, False)
        for lower in (True, False)]),
    MAP,
    *kinds("Sequence", {"normalizers": []},
           {"normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
           {"normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
           {"normalizers": [MAP, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}),
]

BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PRE_TOKENIZERS = [
    *kinds("ByteLevel", *[{"add_prefix_space": space, "trim_offsets": True, "use_regex": regex}
                          for space in (True, False) for regex in (True, False)]),
    *kinds("Split", *[{"pattern": pattern, "behavior": behavior, "invert": invert}
                      for pattern in ({"String": " "}, {"String": "ab"}, {"String": ""}, {"Regex": "\\d+|\\s"},
                                      {"Regex": "a*"})
                      for behavior in BEHAVIORS for invert in (False, True)]),
    *kinds("Metaspace", *[{"replacement": "\u2581", "prepend_scheme": scheme, "split": split}
                          for scheme in ("always", "first", "never") for split in (True, False)],
           {"replacement": "_", "add_prefix_space": True}, {"replacement": "a"}),
    *kinds("Digits", {"individual_digits": True}, {"individual_digits": False}),
    *kinds("Punctuation", *[{"behavior": behavior} for behavior in BEHAVIORS]),
    *[{"type": name} for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts")],
    *kinds("CharDelimiterSplit", {"delimiter": " "}, {"delimiter": "\u00e9"}),
    *kinds("FixedLength", {"length": 1}, {"length": 3}),
    *kinds("Sequence", {"pretokenizers": []},
           {"pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581",
                                                            "prepend_scheme": "first", "split": True}]},
           {"pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581",
                                                            "prepend_scheme": "always", "split": False}]},
           {"pretokenizers": [{"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
                              {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": True}]},
           {"pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL, {"type": "Whitespace"}]},
           {"pretokenizers": [BYTE_LEVEL, {"type": "UnicodeScripts"}, {"type": "FixedLength", "length": 2}]}),
]

DECODERS = [
    *[{"type": name} for name in ("ByteFallback", "Fuse")],
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    *kinds("Metaspace", *[{"replacement": "\u2581", "prepend_scheme": scheme, "split": True}
                          for scheme in ("always", "first", "never")]),
    *kinds("WordPiece", {"prefix": "##", "cleanup": True}, {"prefix": "##", "cleanup": False},
           {"prefix": "", "cleanup": True}),
    *kinds("BPEDecoder", {"suffix": "</w>"}, {"suffix": ""}),
    *kinds("CTC", {"pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
           {"pad_token": "a", "word_delimiter_token": "", "cleanup": True},
           {"pad_token": "", "word_delimiter_token": "|", "cleanup": False}),
    *kinds("Strip", {"content": " ", "start": 1, "stop": 0}, {"content": "a", "start": 2, "stop": 0},
           {"content": "\u2581", "start": 0, "stop": 0}),
    *kinds("Replace", {"pattern": {"String": "\u2581"}, "content": " "}, {"pattern": {"String": "aba"}, "content": "-"},
           {"pattern": {"Regex": "a+"}, "content": "<>"}, {"pattern": {"String": ""}, "content": "."}),
]
FALLBACK = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]
DECODERS += kinds(
    "Sequence", {"decoders": []}, {"decoders": FALLBACK},
    {"decoders": FALLBACK + [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    {"decoders": FALLBACK + [{"type": "Replace", "pattern": {"String": "abab"}, "content": "!"}]},
    {"decoders": FALLBACK + [{"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "_"}]},
    {"decoders": FALLBACK + [{"type": "WordPiece", "prefix": "##", "cleanup": True}]},
    {"decoders": [{"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
                                             "split": True}]},
    {"decoders": [DECODERS[2], {"type": "Replace", "pattern": {"String": "\u00e9a"}, "content": "E"}]},
    {"decoders": [DECODERS[2], {"type": "Metaspace", "replacement": "\u00e9", "prepend_scheme": "first",
                                "split": True}]},
    {"decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]},
    {"decoders": [{"type": "Fuse"}, {"type": "BPEDecoder", "suffix": "</w>"}]},
    {"decoders": [{"type": "ByteFallback"}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|",
                                             "cleanup": True}, {"type": "Fuse"}]})
DECODERS.append(None)

TEXTS = [
    "", " ", "a", "Hello, World!  It's 3.14\u00bd.", "  ab \t\r\n cd  ", "\r\n\r\n", "caf\u00e9 cafe\u0301 CAF\u00c9",
    "\u1e9b\u0323 \ufb01 \uff21\uff22 \u2460 \u212b \ufdfa", "\u0130stanbul \u039f\u0394\u039f\u03a3 \u00df\u1e9e \ua7dc\U00010d50",
    "\u4f60\u597d\u4e16\u754c abc\u3042\u30a2\u30fc\u6f22 1\uff12", "\ud55c\uae00 \u1112\u1161\u11ab \u1100\u1161",
    "\u0915\u094d\u0937\u093f \u0e01\u0e33 \u05e9\u05c1", "a\u0301\u0323\u0345\u0334b q\u0307\u0323 \u0344",
    "x\u00ad\u200b\u200d\ufeff\u0000\u0001\u0085\u2028y\ufffd\u00a0z", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \U0001f600\ufe0f",
    "\u0903\u0488\u09be \u08d3 \U00011938 \u07fd", "ab12cd345 a1b2", "--a b-- $9.99 <x>|y ~z `k` \u00bfq? \u201cw\u201d \u2014 \u30fb",
    "\u2581a \u2581 b\u2581", "aaa aaaa baab", " \u00e9\u00e9 x\u00e9", "\U0001d7d8\u0661\u2163\u00b2", "e\u0301e e\u0301\u0301 \u0301e \u0430\u0306\u0430",
    "\uff0c\u3002\uff01 \u066a \u0f0b\u1735 \u166d\U000111c9", "\tlead\u3000trail\u3000", "_a_ _", "\ue000\uf8ff\U000f0000 \U000e0001", "6\u00bd\u1ae3and e\U00010d6a \u00bd\u0897",
]
TOKENS = [
    [], ["a"], [""], ["\u2581Hello", "\u2581world", "!"], ["\u2581\u2581a\u2581b", "\u2581", "c\u2581"],
    ["<0xE4>", "<0xBD>", "<0xA0>", "x", "<0xE4>", "<0xBD>", "y", "<0x+A>", "<0xG0>", "<0x\u00e9>", "<0xe4>", "<0x41>"],
    ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0xFF>", "<0x41>", "z"], ["<0x41>"], ["<0x", "41>", "<0x42>"],
    ["\u0120a", "\u00e9", "\u6f22", "\u00c3", "\u00a9", "\u00c3", "b"], ["\u00c3", "\u00a9a", "\u00c3\u00a9", "\u00c3\u00a9\u00c3"],
    ["##a", "##b", "c", ".", "n't", "do", "not", "'", "##", "####q", "'", "s", "!", " do not", "x .", "' "],
    ["a</w>", "b</w></w>", "c", "d</w>"], ["a</w>", "b"], ["<pad>", "h", "h", "<pad>", "h", "|", "|", "o", "n't", "a"],
    ["  x", " ", "", "y ", "aaa", "aba", "ab", "aab", "abab", "ab", "a"], ["ab", "ab", "ab", "a", "bab"],
    ["aabaa", "ababa", "ba"], ["\u2581", "\u2581a"], [" a", " b"], ["a", "a", "\u2581\u2581"],
]


def post_processors():
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "q", "type_id": 0}},
                                                         {"Sequence": {"id": "A", "type_id": 0}},
                                                         {"SpecialToken": {"id": "r", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"q": {"id": "q", "ids": [7, 8], "tokens": ["q", "r"]},
                                   "r": {"id": "r", "ids": [9], "tokens": ["r"]}}}
    bert = {"type": "BertProcessing", "sep": ["s", 5], "cls": ["c", 6]}
    roberta = {"type": "RobertaProcessing", "sep": ["s", 3], "cls": ["c", 4], "trim_offsets": True,
               "add_prefix_space": True}
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return [template, bert, roberta, level, {"type": "Sequence", "processors": [level, template]},
            {"type": "Sequence", "processors": [bert, roberta]}, {"type": "Sequence", "processors": [bert, template]},
            {"type": "Sequence", "processors": [template, level]}, {"type": "Sequence", "processors": []}]


def with_stage(stage, config):
    return Tokenizer.from_str(json.dumps({**FILE, stage: config}))


def answer(tokenizer, stage, given):
    if stage == "normalizer":
        return tokenizer.normalizer.normalize_str(given)
    if stage == "pre_tokenizer":
        return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(given)]
    if stage == "post_processor":
        ids = tokenizer.encode("a").ids
        return [ids[:ids.index(0)], ids[ids.index(0) + 1:]]
    return tokenizer.decoder.decode(given) if tokenizer.decoder else " ".join(given)


def rows():
    draw = random.Random(3)
    for stage, configs, inputs in (("normalizer", NORMALIZERS, TEXTS), ("pre_tokenizer", PRE_TOKENIZERS, TEXTS),
                                   ("decoder", DECODERS, TOKENS), ("post_processor", post_processors(), ["a"])):
        for config in configs:
            tokenizer = with_stage(stage, config)
            some = inputs if len(inputs) * len(configs) < 800 else draw.sample(inputs, 14)
            if stage == "decoder" and config and config["type"] == "BPEDecoder":
                some = [given for given in some if given]  # no token at all is a panic there
            yield {"stage": stage, "config": config, "in": some,
                   "out": [answer(tokenizer, stage, given) for given in some]}


def main():
    path = ROOT / "corbel" / "text" / "goldens" / "stages.jsonl"
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        print(json.dumps({"made_by": "tools/golden/text_stages.py", "tokenizers": tokenizers.__version__}), file=file)
        for row in rows():
            print(json.dumps(row, ensure_ascii=False), file=file)


if __name__ == "__main__":
    main()
