"""The kinds of tokenizers that run.py compares, and where each comes from: real files, or made here from random texts."""

import dataclasses
import gzip
import json
import pathlib
import typing
import unicodedata

import oracles
import random_stages
import sentencepiece
import strings
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

LEFT_OUT_NOTES = [
    "",
    "Left out: texts with NUL for SentencePiece (its interface ends them there), texts that hold the text of a special token for GGUF",
    "(llama.cpp and Hugging Face differ there by design), and texts or lists of ids on which the oracle itself panics.",
    "\"Random stages\" are tokenizers put together from random normalizers, pre-tokenizers, models, decoders, post-processors and added tokens,",
    "each trained on a few texts and compared on a thousand. Not put together there: Metaspace with \"first\" behind a normalizer (what counts",
    "as the start of a text whose first characters a normalizer has changed is the library's own for one stage, not for every row of",
    "stages), and two added tokens that normalize to the same text, or to none (the library then takes either, or cuts everywhere).",
]


@dataclasses.dataclass
class Subject:
    """One tokenizer: what the command opens, and who knows the answer."""

    path: pathlib.Path
    oracle: typing.Any
    decodes_any_ids: bool = True
    bare: bool = False  # compare what stands between special tokens only: the two files differ in what they put around it
    leave_out: typing.Callable = lambda text: False


@dataclasses.dataclass
class Kind:
    name: str
    oracle_name: str
    subjects: typing.Callable  # count -> (Subject, how many texts) ...
    missing: str = ""


def equal_shares(makers, count):
    share = -(-count // len(makers))
    for i, make in enumerate(makers):
        yield make(), min(share, count - share * i)


def unpacked(folder, work):
    """The tokenizer.json of a folder, unzipped into `work` where it is zipped."""
    plain = folder / "tokenizer.json"
    if plain.exists():
        return plain
    place = work / folder.name
    place.mkdir(parents=True, exist_ok=True)
    target = place / "tokenizer.json"
    if not target.exists():
        target.write_bytes(gzip.decompress((folder / "tokenizer.json.gz").read_bytes()))
    return target


def published(data, work, name, oracle_name, *folders):
    def subjects(count):
        def make(folder):
            path = unpacked(data / "tokenizers" / folder, work)
            return lambda: Subject(path.parent, oracles.HuggingFace(path))
        return equal_shares([make(folder) for folder in folders], count)
    return Kind(name, oracle_name, subjects, "" if data else "needs published tokenizers (--data)")


def training_texts(seed, count=3000):
    return [strings.text(seed + 1, number).replace("\0", "") for number in range(count)]


def saved(tokenizer, work, name):
    place = work / name
    place.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(place / "tokenizer.json"))
    return Subject(place, oracles.HuggingFace(place / "tokenizer.json"))


def trained_unigram(work, seed, byte_fallback):
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]) if byte_fallback else decoders.Metaspace(
        prepend_scheme="first")
    specials = ["<pad>", "<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    tokenizer.train_from_iterator(training_texts(seed), trainers.UnigramTrainer(vocab_size=8000, special_tokens=specials[:4], unk_token="<unk>"))
    made = json.loads(tokenizer.to_str())
    if byte_fallback:
        made["model"]["vocab"] += [[token, -20.0] for token in specials[4:]]
        made["model"]["byte_fallback"] = True
    return saved(tokenizers.Tokenizer.from_str(json.dumps(made)), work, f"unigram_{'bytes' if byte_fallback else 'plain'}")


def trained_word_level(work, seed, lowercase):
    tokenizer = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]) if lowercase else None
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace() if lowercase else pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(training_texts(seed), trainers.WordLevelTrainer(vocab_size=5000, special_tokens=["[UNK]", "[CLS]"]))
    return saved(tokenizer, work, f"word_level_{'lower' if lowercase else 'plain'}")


def trained_sentencepiece(work, seed, name, **options):
    place = work / f"sentencepiece_{name}"
    place.mkdir(parents=True, exist_ok=True)
    texts = iter([line for text in training_texts(seed) for line in text.split("\n") if line.strip()])
    with open(place / "tokenizer.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=texts, model_writer=file, vocab_size=4000, character_coverage=0.995,
                                              hard_vocab_limit=False, minloglevel=2, **options)
    return Subject(place / "tokenizer.model", oracles.SentencePiece(place / "tokenizer.model"))


def sentencepiece_unigram(work, seed):
    return [lambda: trained_sentencepiece(work, seed, "nmt_nfkc", model_type="unigram"),
            lambda: trained_sentencepiece(work, seed, "nfkc_cf_bytes", model_type="unigram", normalization_rule_name="nfkc_cf", byte_fallback=True,
                                          user_defined_symbols=["<mask>", "\u7684\u662f"]),
            lambda: trained_sentencepiece(work, seed, "identity", model_type="unigram", normalization_rule_name="identity", remove_extra_whitespaces=False,
                                          add_dummy_prefix=False)]


def sentencepiece_bpe(data, work, seed):
    made = [lambda: trained_sentencepiece(work, seed, "bpe_suffix", model_type="bpe", treat_whitespace_as_suffix=True, user_defined_symbols=["<sep>"]),
            lambda: trained_sentencepiece(work, seed, "bpe_bytes", model_type="bpe", byte_fallback=True, normalization_rule_name="nfkc")]
    for name in ("llama2", "minicpm3", "yi") if data else ():
        path = data / "spm" / name / "tokenizer.model"
        made.append(lambda path=path: Subject(path, oracles.SentencePiece(path)))
    return made


class NfcTiktoken(oracles.Tiktoken):
    """Ranks whose published code composes the text first."""

    def encode(self, texts):
        return super().encode([unicodedata.normalize("NFC", text) for text in texts])


def tiktoken_files(data, work):
    def with_256_specials():
        text = unpacked(data / "tokenizers" / "llama3.1", work).read_text()
        ranks = oracles.ranks_of(text)
        place = work / "tiktoken_128000"
        place.mkdir(parents=True, exist_ok=True)
        oracles.write_ranks(ranks, place / "tokenizer.model")
        pattern = json.loads(text)["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"]
        special = {name: 128000 + i for name, i in zip(names, (0, 1, 6, 7))}
        return Subject(place / "tokenizer.model", oracles.Tiktoken(ranks, pattern, special, before=[128000]), decodes_any_ids=False)

    def with_extras():
        text = unpacked(data / "tokenizers" / "qwen2", work).read_text()
        ranks = oracles.ranks_of(text)
        place = work / "tiktoken_151643"
        place.mkdir(parents=True, exist_ok=True)
        oracles.write_ranks(ranks, place / "qwen.tiktoken")
        pattern = json.loads(text)["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)]
        return Subject(place, NfcTiktoken(ranks, pattern, {name: 151643 + i for i, name in enumerate(names)}), decodes_any_ids=False)
    return [with_256_specials, with_extras]


def rwkv_world(work, seed):
    """A vocabulary of the world file's form: all bytes, then fragments of random texts."""
    place = work / "rwkv"
    place.mkdir(parents=True, exist_ok=True)
    tokens = [bytes([b]) for b in range(256)]
    known = set(tokens)
    for text in training_texts(seed, 4000):
        data = text.encode()
        for begin in range(0, len(data), 3):
            token = data[begin : begin + 2 + begin % 7]
            if token not in known:
                known.add(token)
                tokens.append(token)
    tokens = tokens[:60000]
    lines = []
    for i, token in enumerate(tokens, start=1):
        try:
            shown = repr(token.decode())
        except UnicodeDecodeError:
            shown = repr(token)
        lines.append(f"{i} {shown} {len(token)}\n")
    (place / "rwkv_vocab_v20230424.txt").write_text("".join(lines), encoding="utf-8")
    return Subject(place / "rwkv_vocab_v20230424.txt", oracles.Rwkv(dict(enumerate(tokens, start=1))), decodes_any_ids=False)


def gguf_files(data, work):
    """A GGUF against the tokenizer.json with the same vocabulary, on texts without the texts of special tokens."""
    made = []
    names = json.loads((data / "gguf_vocab" / "same_vocab_as.json").read_text()) if data else {}
    for gguf, folder in names.items():
        path = data / "gguf_vocab" / f"ggml-vocab-{gguf}.gguf"
        if path.exists():
            made.append(lambda path=path, folder=folder: Subject(
                path, oracles.HuggingFace(unpacked(data / "tokenizers" / folder, work), parse_special=False), decodes_any_ids=False, bare=True))
    return made


def all_kinds(data, work, seed):
    """Every kind, in the order of the report. `data`: a folder with published tokenizers, or None."""
    hf, nowhere = "tokenizers", "" if data else "needs published tokenizers (--data)"
    return [
        published(data, work, "byte-level BPE", hf, "gpt2", "qwen2", "falcon", "minimind"),
        published(data, work, "byte-level BPE, whole words", hf, "llama3.1"),
        published(data, work, "BPE with byte fallback", hf, "llama2", "phi-3-mini", "minicpm3"),
        published(data, work, "Unigram", hf, "t5-small"),
        Kind("Unigram, trained here", hf, lambda n: equal_shares([lambda b=b: trained_unigram(work, seed, b) for b in (False, True)], n)),
        published(data, work, "WordPiece", hf, "bert-base-uncased"),
        Kind("WordLevel", hf, lambda n: equal_shares([lambda low=low: trained_word_level(work, seed, low) for low in (False, True)], n)),
        Kind("random stages", hf, lambda n: random_stages.subjects(work, seed, n, training_texts(seed, 1500), saved)),
        Kind("SentencePiece BPE", "sentencepiece", lambda n: equal_shares(sentencepiece_bpe(data, work, seed), n)),
        Kind("SentencePiece Unigram", "sentencepiece", lambda n: equal_shares(sentencepiece_unigram(work, seed), n)),
        Kind("tiktoken ranks", "tiktoken", lambda n: equal_shares(tiktoken_files(data, work), n), nowhere),
        Kind("RWKV world", "greedy rule", lambda n: equal_shares([lambda: rwkv_world(work, seed)], n)),
        Kind("GGUF", hf, lambda n: equal_shares(gguf_files(data, work), n), nowhere),
    ]
