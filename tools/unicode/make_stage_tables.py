#!/usr/bin/env python3
"""Writes corbel/text/stage_tables.cpp: where the stages of Hugging Face's tokenizers see other characters than our tables.

Its Rust parts are built from several versions of Unicode (normalization forms: 9, categories: 8, letter case and numbers:
17), and models were trained with exactly that. So these tables are asked of the library itself, over all code points.
They hold boundaries [first, end, first, end, ...). Needs pip install unicodedata2==16.0.0 tokenizers==0.23.3
sentencepiece==0.2.3 and libutf8proc 2.8 (Debian 12):

    python3 tools/unicode/make_stage_tables.py > corbel/text/stage_tables.cpp
"""
import ctypes
import io
import sys

import sentencepiece
import tokenizers
import unicodedata2 as unicodedata
from tokenizers import normalizers, pre_tokenizers

import make_tables

CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
FIELDS = 118  # columns


def boundaries(codes):
    out = []
    for code in sorted(codes):
        if out and out[-1] == code:
            out[-1] = code + 1
        else:
            out += [code, code + 1]
    return out


def print_table(name, values, kind="char32_t", form="0x%X"):
    print(f"constexpr {kind} {name}Data[] = {{")
    line = "   "
    for value in values:
        field = " " + form % value + ","
        if len(line) + len(field) > FIELDS:
            print(line)
            line = "   "
        line += field
    print(line + f"}};\nconst std::span<const {kind}> {name} = {name}Data;\n")


def removed_by(normalizer):
    return {code for code in CODES if normalizer.normalize_str(chr(code)) == ""}


def cut_off_by(pre_tokenizer):
    return {code for code in CODES if len(pre_tokenizer.pre_tokenize_str("a" + chr(code))) == 2}


def bert(**on):
    flags = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**flags, **on})


def category_is(*names):
    return {code for code in CODES if unicodedata.category(chr(code)) in names or
            unicodedata.category(chr(code))[0] in names}


def late_for_forms():
    """What utf8proc decomposes, orders or composes, and the forms' version of Unicode did not know yet."""
    library = ctypes.CDLL("libutf8proc.so.2")
    parts = (ctypes.c_int32 * 32)()
    nfd = normalizers.NFD()
    nfkd = normalizers.NFKD()
    stable, decompose, compat = 1 << 1, 1 << 4, 1 << 2
    library.utf8proc_map.restype = ctypes.c_ssize_t

    def form(text, options):
        raw = text.encode()
        out = ctypes.c_void_p()
        size = library.utf8proc_map(raw, ctypes.c_ssize_t(len(raw)), ctypes.byref(out), options)
        assert size >= 0
        return ctypes.string_at(out, size).decode()

    late = set()
    for code in CODES:
        if 0xAC00 <= code < 0xD7A4 or code == 0:
            continue
        char = chr(code)
        texts = [char, "a" + char + "\u0334", "a\u0345" + char]
        if any(form(text, stable | decompose) != nfd.normalize_str(text) for text in texts) or \
           form(char, stable | decompose | compat) != nfkd.normalize_str(char):
            assert nfkd.normalize_str(char) == char, hex(code)
            assert all(nfd.normalize_str(text) == text for text in texts), hex(code)
            late.add(code)
    late.add(0x11930)  # the second half of U+11938, which is late
    return late


def field_of(message, wanted):
    """A bytes field of a protobuf message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if message[at - 1] < 128:
                return value

    while at < len(message):
        key = varint()
        size = {0: 0, 1: 8, 5: 4}[key & 7] if key & 7 != 2 else varint()
        if key & 7 == 0:
            varint()
        if key == wanted << 3 | 2:
            return message[at : at + size]
        at += size
    raise KeyError(wanted)


def late_extenders():
    """What the library's graphemes join to the character before, and utf8proc's do not: with a map of "A", A and such a
    character become "a" together."""
    model = io.BytesIO()
    texts = iter(["the letter a", "and the letter b"])
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=texts, model_writer=model, vocab_size=20, hard_vocab_limit=False,
                                             normalization_rule_name="nfkc_cf", minloglevel=2)
    precompiled = normalizers.Precompiled(field_of(field_of(model.getvalue(), 3), 2))
    assert precompiled.normalize_str("A\u0301") == "a"
    library = ctypes.CDLL("libutf8proc.so.2")
    library.utf8proc_grapheme_break.restype = ctypes.c_bool
    joined = {code for code in CODES if code >= 0x80 and precompiled.normalize_str(chr(code)) and
              precompiled.normalize_str("A" + chr(code)) == "a"}
    known = {code for code in CODES if code >= 0x80 and not library.utf8proc_grapheme_break(0x41, code)}
    assert all(not precompiled.normalize_str(chr(code)) for code in known - joined)
    return joined - known


def lower_rows():
    """[first, last, step, difference] of code points whose lower case is one other code point."""
    lower = normalizers.Lowercase()
    pairs = []
    for code in CODES:
        small = lower.normalize_str(chr(code))
        if small == chr(code) or code < 128:
            continue
        if len(small) != 1:
            assert code == 0x130 and small == "i\u0307"
            continue
        pairs.append((code, ord(small) - code))
    rows = []
    for code, difference in pairs:
        if rows and rows[-1][3] == difference:
            first, last, step, _ = rows[-1]
            if first == last and code - last <= 2:
                rows[-1] = [first, code, code - last, difference]
                continue
            if first != last and code - last == step:
                rows[-1][1] = code
                continue
        rows.append([code, code, 1, difference])
    return rows


def script_rows():
    """(first, script): from there on to the next row. 0 is what UnicodeScripts never cuts at."""
    cutter = pre_tokenizers.UnicodeScripts()

    def together(a, b):
        return len(cutter.pre_tokenize_str(chr(a) + chr(b))) == 1

    def is_any(code):
        return together(ord("a"), code) and together(0x3B1, code)

    representatives = []
    rows = []
    previous = 0
    for code in CODES:
        if is_any(code):
            script = 0
        else:
            if previous and together(representatives[previous - 1], code):
                script = previous
            else:
                found = [i for i, other in enumerate(representatives) if together(other, code)]
                assert len(found) <= 1
                if found:
                    script = found[0] + 1
                else:
                    representatives.append(code)
                    script = len(representatives)
        if not rows or rows[-1][1] != script:
            rows.append((code, script))
        previous = script
    assert len(representatives) < 256
    return rows


def main():
    if unicodedata.unidata_version != make_tables.VERSION or not tokenizers.__version__.startswith("0.23."):
        sys.exit(f"make_stage_tables.py: needs Unicode {make_tables.VERSION} and tokenizers 0.23, found "
                 f"{unicodedata.unidata_version} and {tokenizers.__version__}")
    ours_word = {code for code in CODES if code < make_tables.LIMIT and
                 make_tables.char_class(code, set()) in (make_tables.LETTER, make_tables.LETTER_UNSTABLE,
                                                         make_tables.NUMBER_WORD, make_tables.MARK,
                                                         make_tables.CONNECTOR, make_tables.WORD_OTHER)}
    ours_word |= set(range(0xE0100, 0xE01F0))
    words = pre_tokenizers.Whitespace()
    their_word = {code for code in CODES if words.pre_tokenize_str("a" + chr(code)) == [("a" + chr(code), (0, 2))]}
    assert their_word == ours_word  # so stage_chars::is_word needs no table
    ascii_symbols = {ord(c) for c in "$+<=>^`|~"}
    print(f"// Generated by tools/unicode/make_stage_tables.py from tokenizers {tokenizers.__version__}. Do not edit.")
    print('#include "corbel/text/stage_tables.h"\n\nnamespace corbel::stage_tables {\n// clang-format off')
    print_table("kMarkDifferences", boundaries(removed_by(normalizers.StripAccents()) ^ category_is("M")))
    print_table("kNonspacingMarks", boundaries(removed_by(bert(strip_accents=True))))
    print_table("kControls", boundaries(removed_by(bert(clean_text=True))))
    print_table("kChinese", boundaries(code for code in CODES if bert(handle_chinese_chars=True).normalize_str(chr(code))
                                       == f" {chr(code)} "))
    print_table("kPunctuationDifferences",
                boundaries(cut_off_by(pre_tokenizers.Punctuation()) - ascii_symbols ^ category_is("P")))
    print_table("kNumberDifferences", boundaries(cut_off_by(pre_tokenizers.Digits(individual_digits=True)) ^
                                                 category_is("N")))
    print_table("kLateForForms", boundaries(late_for_forms()))
    print_table("kLateExtenders", boundaries(late_extenders()))
    rows = lower_rows()
    print_table("kLowerFirst", [row[0] for row in rows])
    print_table("kLowerLast", [row[1] for row in rows])
    print_table("kLowerStep", [row[2] for row in rows], "std::uint8_t", "%d")
    print_table("kLowerDifference", [row[3] for row in rows], "std::int32_t", "%d")
    scripts = script_rows()
    print_table("kScriptFirst", [row[0] for row in scripts])
    print_table("kScript", [row[1] for row in scripts], "std::uint8_t", "%d")
    print("// clang-format on\n}  // namespace corbel::stage_tables")


if __name__ == "__main__":
    main()
