"""The programs we compare with, each behind the same three calls: encode, decode, special token texts."""

import base64
import json

import sentencepiece
import tiktoken
import tokenizers


def each(ask, rows):
    """The library's answers; None where it panics, which it does for whole batches."""
    if None in rows:
        given = [row for row in rows if row is not None]
        answers = iter(each(ask, given))
        return [None if row is None else next(answers) for row in rows]
    try:
        return ask(rows)
    except BaseException as error:  # the binding's panics are no Exception
        if type(error).__name__ != "PanicException":
            raise
    if len(rows) == 1:
        return [None]
    half = len(rows) // 2
    return each(ask, rows[:half]) + each(ask, rows[half:])


class HuggingFace:
    """Hugging Face `tokenizers` on a tokenizer.json."""

    def __init__(self, path=None, made=None, parse_special=True):
        self.tokenizer = made or tokenizers.Tokenizer.from_file(str(path))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        added = self.tokenizer.get_added_tokens_decoder().values()
        self.tokens = [token.content for token in added] if parse_special else []
        self.avoid = [] if parse_special else [token.content for token in added]

    def encode(self, texts):
        def ids(add):
            return each(lambda some: [e.ids for e in self.tokenizer.encode_batch_fast(some, add_special_tokens=add)], texts)
        return ids(True), ids(False)

    def decode(self, rows, skip_special=True):
        return each(lambda some: self.tokenizer.decode_batch(some, skip_special_tokens=skip_special), rows)

    def vocab_size(self):
        return self.tokenizer.get_vocab_size()


class SentencePiece:
    """The SentencePiece library on a .model file; BOS in front as Corbel puts it."""

    tokens = ()

    def __init__(self, path):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.before = [self.processor.bos_id()] if self.processor.bos_id() >= 0 else []
        self.avoid = ["\0"]  # the library's interface ends texts there

    def encode(self, texts):
        without = self.processor.encode(texts, num_threads=1)
        return [self.before + ids for ids in without], without

    def decode(self, rows, skip_special=True):
        assert skip_special
        return self.processor.decode(rows, num_threads=1)

    def vocab_size(self):
        return self.processor.vocab_size()


class Tiktoken:
    """tiktoken with a rank file's ranks. Adds nothing around a text."""

    def __init__(self, ranks, pattern, special, before=()):
        self.encoding = tiktoken.Encoding("fuzz", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        self.before = list(before)
        self.special = set(special.values())
        self.tokens = list(special)
        self.avoid = []

    def encode(self, texts):
        without = self.encoding.encode_batch(texts, num_threads=1, allowed_special="all")
        return [self.before + ids for ids in without], without

    def decode(self, rows, skip_special=True):
        keep = [[i for i in row if i not in self.special] for row in rows] if skip_special else rows
        return [self.encoding.decode(row) for row in keep]

    def vocab_size(self):
        return self.encoding.n_vocab


class Rwkv:
    """The world vocabulary's rule, as its paper's reference has it: at every place the longest token."""

    tokens = ()
    avoid = ()

    def __init__(self, tokens_by_id):
        self.by_id = tokens_by_id
        self.by_token = {token: i for i, token in tokens_by_id.items()}
        self.longest = max(map(len, self.by_token))

    def encode(self, texts):
        rows = []
        for text in texts:
            data, at, ids = text.encode(), 0, []
            while at < len(data):
                for size in range(min(self.longest, len(data) - at), 0, -1):
                    if data[at : at + size] in self.by_token:
                        break
                ids.append(self.by_token[data[at : at + size]])
                at += size
            rows.append(ids)
        return rows, rows

    def decode(self, rows, skip_special=True):
        return [b"".join(self.by_id[i] for i in row).decode("utf-8", "replace") for row in rows]

    def vocab_size(self):
        return max(self.by_id) + 1


def byte_chars():
    """The visible character that byte-level files write for each byte (GPT-2's table)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(plain))
    return table


def ranks_of(tokenizer_json):
    """tiktoken's ranks from a byte-level tokenizer.json whose ids are ranks."""
    to_byte = {char: byte for byte, char in byte_chars().items()}
    vocab = json.loads(tokenizer_json)["model"]["vocab"]
    return {bytes(to_byte[c] for c in token): rank for token, rank in vocab.items()}


def write_ranks(ranks, path):
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in sorted(ranks.items(), key=lambda x: x[1])))
