"""Tokenizers put together at random from every stage that a tokenizer.json may have, each trained on a few texts."""

import json
import random

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS_EACH = 1000
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
REGEXES = [r"\s+", r"\p{L}+", r"\p{N}{1,3}", r"\w+|[^\w\s]+", r"'(?i:[sdmt]|ll|ve|re)|\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+", r"[a-c]", r"(?=[A-Z])", r"\d", r"[\r\n]+", r"."]


def normalizer(rng, depth=0):
    choices = [
        lambda: normalizers.NFC(), lambda: normalizers.NFD(), lambda: normalizers.NFKC(), lambda: normalizers.NFKD(), lambda: normalizers.Lowercase(),
        lambda: normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]), lambda: normalizers.StripAccents(), lambda: normalizers.Nmt(),
        lambda: normalizers.Prepend(rng.choice(["\u2581", "x", "ab"])), lambda: normalizers.Strip(left=rng.random() < 0.5, right=rng.random() < 0.5),
        lambda: normalizers.Replace(rng.choice([" ", "a", "``", "e\u0301"]), rng.choice(["\u2581", "", "bb"])),
        lambda: normalizers.Replace(tokenizers.Regex(rng.choice(REGEXES[:8])), rng.choice([" ", "", "#"])),
        lambda: normalizers.BertNormalizer(clean_text=rng.random() < 0.5, handle_chinese_chars=rng.random() < 0.5,
                                           strip_accents=rng.choice([None, True, False]), lowercase=rng.random() < 0.5),
    ]
    if depth == 0 and rng.random() < 0.4:
        return normalizers.Sequence([normalizer(rng, 1) for _ in range(rng.randint(1, 3))])
    return rng.choice(choices)()


def pre_tokenizer(rng, schemes, depth=0):
    choices = [
        lambda: pre_tokenizers.Whitespace(), lambda: pre_tokenizers.WhitespaceSplit(), lambda: pre_tokenizers.BertPreTokenizer(),
        lambda: pre_tokenizers.Digits(individual_digits=rng.random() < 0.5), lambda: pre_tokenizers.Punctuation(behavior=rng.choice(BEHAVIORS)),
        lambda: pre_tokenizers.UnicodeScripts(), lambda: pre_tokenizers.CharDelimiterSplit(rng.choice([" ", "-", "\u2581"])),
        lambda: pre_tokenizers.Metaspace(replacement=rng.choice(["\u2581", "_"]), prepend_scheme=rng.choice(schemes), split=rng.random() < 0.7),
        lambda: pre_tokenizers.Split(rng.choice([" ", "a", "\n", "the"]), rng.choice(BEHAVIORS), invert=rng.random() < 0.3),
        lambda: pre_tokenizers.Split(tokenizers.Regex(rng.choice(REGEXES)), rng.choice(BEHAVIORS), invert=rng.random() < 0.3),
        lambda: pre_tokenizers.ByteLevel(add_prefix_space=rng.random() < 0.5, use_regex=rng.random() < 0.7),
    ]
    if depth == 0 and rng.random() < 0.4:
        return pre_tokenizers.Sequence([pre_tokenizer(rng, schemes, 1) for _ in range(rng.randint(1, 3))])
    return rng.choice(choices)()


def decoder(rng, depth=0):
    choices = [
        lambda: decoders.ByteLevel(), lambda: decoders.Fuse(), lambda: decoders.ByteFallback(), lambda: decoders.WordPiece(prefix="##", cleanup=rng.random() < 0.5),
        lambda: decoders.Metaspace(replacement="\u2581", prepend_scheme=rng.choice(["always", "first", "never"])), lambda: decoders.BPEDecoder(suffix="</w>"),
        lambda: decoders.CTC(pad_token="a", word_delimiter_token=" ", cleanup=rng.random() < 0.5),
        lambda: decoders.Strip(content=rng.choice([" ", "a"]), left=rng.randint(0, 2), right=rng.randint(0, 2)),
        lambda: decoders.Replace(rng.choice(["\u2581", "a", "ab"]), rng.choice([" ", "", "xy"])),
    ]
    if depth == 0 and rng.random() < 0.5:
        return decoders.Sequence([decoder(rng, 1) for _ in range(rng.randint(1, 3))])
    return rng.choice(choices)()


def model_and_trainer(rng):
    specials = ["[UNK]", "<s>", "</s>"]
    size = rng.choice([60, 300, 1000])
    kind = rng.randrange(5)
    if kind == 0:
        return models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(vocab_size=size, special_tokens=specials)
    if kind == 1:
        return models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=rng.choice([100, 8])), trainers.WordPieceTrainer(vocab_size=size, special_tokens=specials,
                                                                                                                         limit_alphabet=100)
    if kind == 2:
        return models.Unigram(), trainers.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token="[UNK]")
    suffix, prefix = (rng.choice([None, "</w>"]), rng.choice([None, "##"])) if kind == 3 else (None, None)
    made = models.BPE(unk_token=rng.choice(["[UNK]", None]), fuse_unk=rng.random() < 0.5, end_of_word_suffix=suffix, continuing_subword_prefix=prefix,
                      byte_fallback=rng.random() < 0.4, ignore_merges=rng.random() < 0.3)
    return made, trainers.BpeTrainer(vocab_size=size, special_tokens=specials + ([f"<0x{b:02X}>" for b in range(256)] if rng.random() < 0.5 else []), limit_alphabet=80,
                                     end_of_word_suffix=suffix, continuing_subword_prefix=prefix, show_progress=False)


def added_token(rng, content):
    return tokenizers.AddedToken(content, single_word=rng.random() < 0.3, lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3, normalized=rng.random() < 0.5,
                                 special=rng.random() < 0.5)


def build(rng, texts):
    model, trainer = model_and_trainer(rng)
    tokenizer = tokenizers.Tokenizer(model)
    if rng.random() < 0.75:
        tokenizer.normalizer = normalizer(rng)
    if rng.random() < 0.85:
        # "first" behind a normalizer: see LEFT_OUT_NOTES.
        tokenizer.pre_tokenizer = pre_tokenizer(rng, ["always", "never"] + ([] if tokenizer.normalizer else ["first"]))
    tokenizer.train_from_iterator(rng.sample(texts, 150), trainer)
    if rng.random() < 0.8:
        tokenizer.decoder = decoder(rng)
    if rng.random() < 0.5:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=rng.choice(["<s> $A", "<s> $A </s>", "$A </s>"]), special_tokens=[("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))])
    for content in rng.sample(["<mask>", "the", "ab", "\u4e00", " x", "Stra\u00dfe", "<|end|>", "a "], rng.randint(0, 4)):
        tokenizer.add_tokens([added_token(rng, content)])
    return tokenizer


def ambiguous(tokenizer):
    """Do two added tokens look the same once normalized (the library then takes either, by the order of a hash table), or like
    nothing (then it cuts everywhere)?"""
    spelled = [tokenizer.normalizer.normalize_str(token.content) if token.normalized and tokenizer.normalizer else token.content
               for token in tokenizer.get_added_tokens_decoder().values()]
    return len(set(spelled)) < len(spelled) or "" in spelled


def subjects(work, seed, count, texts, saved):
    rng = random.Random(seed)
    number = 0
    while True:  # whoever asks stops when there are enough
        number += 1
        try:
            tokenizer = build(rng, texts)
            # What its own library refuses, or cannot read back, is no tokenizer.
            tokenizers.Tokenizer.from_str(tokenizer.to_str())
            if ambiguous(tokenizer):
                continue
        except BaseException as error:  # the trainers panic on vocabularies that are too small for their texts
            if isinstance(error, KeyboardInterrupt):
                raise
            continue
        subject = saved(tokenizer, work, f"stages_{number}")
        subject.about = json.dumps({key: value for key, value in json.loads(tokenizer.to_str()).items() if key not in ("model", "added_tokens")})
        yield subject, min(TEXTS_EACH, count)
