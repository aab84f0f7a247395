"""Small SentencePiece models and what the library makes of texts with them: corbel/text/goldens/sentencepiece/.

    python tools/golden/text_sentencepiece.py OUT      # sentencepiece 0.2.3

Each model NAME.model (below 200 KB) has NAME.jsonl: a first line {"sentencepiece": version, ...}, then one object a
text: "text", "ids", and "decoded", or "decode" (ids of our choosing) with "decoded".
The two models with the library's own full rules are gzipped; the others have a few rules of ours ("small_rules"), for a
full set takes 240 KB.
"""
import gzip
import json
import random
import sys
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece

# Enough text for a few hundred pieces; words repeat so that merges have clear scores.
CORPUS = """the quick brown fox jumps over the lazy dog and then the dog jumps over the fox again and again
if x == 0: return [] else: print("hello world", x + 1, y * 2) # comment with numbers 123 456 7890
der schnelle braune Fuchs springt \u00fcber den faulen Hund; \u00c4rger, \u00d6l, Stra\u00dfe, na\u00efve caf\u00e9
\u6211\u4eec\u7684\u4e16\u754c\u662f\u4e00\u4e2a\u5927\u7684\u4e16\u754c \u6211\u7231\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \u4e16\u754c
\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u0438 \u0435\u0449\u0451 \u0440\u0430\u0437 \u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440
""".splitlines()

# name -> options of the trainer beyond the shared ones
MODELS = {
    "unigram_nmt_nfkc": dict(model_type="unigram", normalization_rule_name="nmt_nfkc", character_coverage=0.98),
    "unigram_bytes": dict(model_type="unigram", small_rules=True, byte_fallback=True),
    "unigram_symbols": dict(model_type="unigram", normalization_rule_name="identity", remove_extra_whitespaces=False,
                            user_defined_symbols=["<sep>", "fox", "ab", "\u4e16\u754c", "  "], character_coverage=0.98),
    "unigram_suffix": dict(model_type="unigram", small_rules=True, treat_whitespace_as_suffix=True),
    "bpe_identity_bytes": dict(model_type="bpe", normalization_rule_name="identity", byte_fallback=True,
                               remove_extra_whitespaces=False, split_digits=True),
    "bpe_nfkc_cf": dict(model_type="bpe", normalization_rule_name="nfkc_cf", treat_whitespace_as_suffix=True),
    "bpe_small_rules": dict(model_type="bpe", small_rules=True, character_coverage=0.98),
    "bpe_symbols": dict(model_type="bpe", small_rules=True, add_dummy_prefix=False, bos_id=-1, pad_id=3,
                        user_defined_symbols=["<sep>", "fox", "fo", "\ufb01", "x y"], control_symbols=["<ctl>"]),
    "char": dict(model_type="char", small_rules=True, character_coverage=0.98, user_defined_symbols=["dog"]),
}

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "  a  b  ", "\t", "\n", "a\tb\nc\r\nd", "the quick brown fox", "The Quick Brown FOX",
    "foxfox fo x y", "x y", "<sep>the<sep>", "<s>the</s>", "<unk>", "<ctl>", "<pad>", "<0x41>", "\u2581", "\u2581a\u2581\u2581b",
    "na\u00efve cafe\u0301 \u00c5 A\u030a \u212b", "\ufb01 \ufb02 \u2460 \u3392 \uff21\uff22\uff23 \u00bd \u2163", "\u4e16\u754c\u4e16\u754c\u6211",
    "\u6211\u4eec\u7231\u5b87\u5b99", "\U0001f600\U0001f600 smile", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0435\u0449\u0435 \u0435\u0449\u0451 \u0401",
    "\u00a0nbsp\u00a0\u3000wide\u2003em\u200bzero\ufeffbom", "stra\u00dfe STRASSE \u1e9e", "\u0130stanbul \u0131", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "\u0627\u0644\u0633\u0644\u0627\u0645", "1234567890", "12 34", "x==0:return[]", "ab ab\u0301 abab aab", "dogdog do g",
    "\x01\x02\x7f", "a" * 40, "ab" * 30, " " * 20, "\u0301", "e\u0301\u0323", "\u0323\u0301", "\u0e33\u0e4d\u0e32", "\ufdfa", "\u2028\u2029",
    "...", "\u2026", "\u2014\u2013-", "\u201cquoted\u201d \u2018it\u2019s\u2019", "q" * 12 + "\u00e9\u00e9", "zzz\U00010000\U0010ffff\ufffd",
]


def random_texts(count: int) -> list[str]:
    rng = random.Random(20240607)
    alphabet = list("abcdefoxthequick  .,:") + ["\u4e16", "\u754c", "\u6211", "\u00e9", "\u0301", "\u0440", "\u3000", "\ufb01", "\u00c4", "\U0001f600", "<sep>", "fox", "dog", "  "]
    return ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 30))) for _ in range(count)]


def small_rules() -> str:
    """NFKC of the characters above, a few sequences of two and three, and what becomes nothing; as the trainer reads them."""
    rules = {"\t": " ", "\n": " ", "\r": " ", "\x01": "", "\u200b": "", "\r\n": "\n", "ef": "EF", "efo": "[efo]", "e\u0301\u0323": "E",
             "\u1112\u1161": "\ud558", "\u1112\u1161\u11ab": "\ud55c", "...": " ", "  b": " B "}
    for text in TEXTS:
        for sequence in [*text, *(text[i:i + 2] for i in range(len(text) - 1))]:
            changed = unicodedata.normalize("NFKC", sequence)
            if changed != sequence and (len(sequence) == 1 or len(changed) == 1) and "\0" not in changed:
                rules.setdefault(sequence, changed)
    as_hex = lambda part: " ".join(f"{ord(c):X}" for c in part)
    return "".join(f"{as_hex(key)}\t{as_hex(value)}\n" for key, value in rules.items())


def decodings(rng: random.Random, model: sentencepiece.SentencePieceProcessor, count: int) -> list[list[int]]:
    size = model.get_piece_size()
    plain = [i for i in range(size) if not model.is_control(i)]
    low = [i for i in plain if i < 270]  # byte pieces stand in front
    return [[rng.choice(low if rng.random() < 0.6 else plain) for _ in range(rng.randint(1, 8))] for _ in range(count)]


def record(out: Path, name: str, options: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS * 20), encoding="utf-8")
        size = 420 if options.get("byte_fallback") else 230
        shared = dict(input=str(corpus), model_prefix=str(Path(folder) / name), vocab_size=size, hard_vocab_limit=False,
                      minloglevel=2, num_threads=1)
        if options["model_type"] == "char":
            shared["vocab_size"] = 100
        trained = {key: value for key, value in options.items() if key != "small_rules"}
        if options.get("small_rules"):
            rules = Path(folder) / "rules.tsv"
            rules.write_text(small_rules(), encoding="utf-8")
            trained["normalization_rule_tsv"] = str(rules)
        sentencepiece.SentencePieceTrainer.train(**{**shared, **trained})
        model_bytes = (Path(folder) / f"{name}.model").read_bytes()
    model = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
    if len(model_bytes) > 200_000:
        (out / f"{name}.model.gz").write_bytes(gzip.compress(model_bytes, mtime=0))
    else:
        (out / f"{name}.model").write_bytes(model_bytes)
    rows = [{"sentencepiece": sentencepiece.__version__, "bos": model.bos_id(), "options": options}]
    for text in TEXTS + random_texts(120):
        ids = model.encode(text)
        rows.append({"text": text, "ids": ids, "decoded": model.decode(ids)})
    for ids in decodings(random.Random(7), model, 150):
        rows.append({"decode": ids, "decoded": model.decode(ids)})
    with open(out / f"{name}.jsonl", "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=True) + "\n")
    print(name, len(model_bytes), model.get_piece_size(), len(rows))


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, options in MODELS.items():
        record(out, name, options)


if __name__ == "__main__":
    main()
