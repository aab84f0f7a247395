"""Models for the peers: a GGUF file of a config's shape with seeded dummy weights, or of a Hugging Face folder."""
import hashlib
import json
import math
import pathlib
import random
import struct
import subprocess

import gguf_file
from gguf_file import ARRAY, BOOL, F32, I32, STRING, TENSOR_BF16, TENSOR_F32, U32

ARCHITECTURES = {"LlamaForCausalLM": "llama", "Qwen3ForCausalLM": "qwen3"}
BLOCK_VALUES = 1 << 20   # gaussian values made once and repeated; speed does not depend on them
THIN_ROWS = 32           # a multiple of the alignment, so that tensors end where their rows do
NORMAL_TOKEN = 1


class Shape:
    """The sizes of a decoder as its config.json gives them, and what one row of it costs."""

    def __init__(self, path, name):
        self.path, self.name = pathlib.Path(path), name
        config = self.config = json.loads(self.path.read_text(encoding="utf-8"))
        architecture = config["architectures"][0]
        if architecture not in ARCHITECTURES:
            raise SystemExit(f"{path}: architecture {architecture} has no GGUF writer here; known: {', '.join(ARCHITECTURES)}")
        self.arch = ARCHITECTURES[architecture]
        self.hidden, self.ffn, self.vocab = (config[key] for key in ("hidden_size", "intermediate_size", "vocab_size"))
        self.layers, self.q_heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads", self.q_heads)
        self.head_dim = config.get("head_dim") or self.hidden // self.q_heads
        self.tied = config.get("tie_word_embeddings", False)

    def linear_ops_per_row(self):
        """Multiplications and additions of the layers' matrices for one row whose logits are not wanted."""
        attention = self.hidden * self.head_dim * (2 * self.q_heads + 2 * self.kv_heads)
        return 2 * self.layers * (attention + 3 * self.hidden * self.ffn) - self.last_layer_ops_per_row()

    def head_ops_per_row(self):
        """Of a row whose logits are wanted: the head, and of the last layer what is not keys and values."""
        return 2 * self.hidden * self.vocab + self.last_layer_ops_per_row()

    def last_layer_ops_per_row(self):
        return 2 * (self.hidden * self.head_dim * 2 * self.q_heads + 3 * self.hidden * self.ffn)

    def attention_ops_per_key(self):
        return 4 * self.layers * self.q_heads * self.head_dim

    def kv_bytes_per_token(self, element_bytes=2):
        return 2 * self.layers * self.kv_heads * self.head_dim * element_bytes

    def tensors(self):
        """[(GGUF name, sizes fastest first, Hugging Face name)]"""
        q, kv = self.q_heads * self.head_dim, self.kv_heads * self.head_dim
        rows = [("token_embd.weight", [self.hidden, self.vocab], "model.embed_tokens.weight")]
        for i in range(self.layers):
            ours, theirs = f"blk.{i}.", f"model.layers.{i}."
            rows += [(ours + "attn_norm.weight", [self.hidden], theirs + "input_layernorm.weight"),
                     (ours + "attn_q.weight", [self.hidden, q], theirs + "self_attn.q_proj.weight"),
                     (ours + "attn_k.weight", [self.hidden, kv], theirs + "self_attn.k_proj.weight"),
                     (ours + "attn_v.weight", [self.hidden, kv], theirs + "self_attn.v_proj.weight"),
                     (ours + "attn_output.weight", [q, self.hidden], theirs + "self_attn.o_proj.weight"),
                     (ours + "ffn_norm.weight", [self.hidden], theirs + "post_attention_layernorm.weight"),
                     (ours + "ffn_gate.weight", [self.hidden, self.ffn], theirs + "mlp.gate_proj.weight"),
                     (ours + "ffn_up.weight", [self.hidden, self.ffn], theirs + "mlp.up_proj.weight"),
                     (ours + "ffn_down.weight", [self.ffn, self.hidden], theirs + "mlp.down_proj.weight")]
            if self.arch == "qwen3":
                rows += [(ours + "attn_q_norm.weight", [self.head_dim], theirs + "self_attn.q_norm.weight"),
                         (ours + "attn_k_norm.weight", [self.head_dim], theirs + "self_attn.k_norm.weight")]
        rows.append(("output_norm.weight", [self.hidden], "model.norm.weight"))
        if not self.tied:
            rows.append(("output.weight", [self.hidden, self.vocab], "lm_head.weight"))
        return rows

    def pairs(self):
        arch, config = self.arch, self.config
        return [("general.architecture", STRING, arch), ("general.name", STRING, self.name),
                ("general.file_type", U32, 32),
                (arch + ".block_count", U32, self.layers), (arch + ".context_length", U32, config["max_position_embeddings"]),
                (arch + ".embedding_length", U32, self.hidden), (arch + ".feed_forward_length", U32, self.ffn),
                (arch + ".attention.head_count", U32, self.q_heads), (arch + ".attention.head_count_kv", U32, self.kv_heads),
                (arch + ".attention.key_length", U32, self.head_dim), (arch + ".attention.value_length", U32, self.head_dim),
                (arch + ".rope.dimension_count", U32, self.head_dim),
                (arch + ".rope.freq_base", F32, float(config.get("rope_theta", 10000.0))),
                (arch + ".attention.layer_norm_rms_epsilon", F32, config["rms_norm_eps"]),
                (arch + ".vocab_size", U32, self.vocab)]

    def rope_factors(self):
        """Divisors of the rotary frequencies for rope_type llama3, else None. Source: arXiv 2407.21783, HF modeling_rope_utils."""
        scaling = self.config.get("rope_scaling")
        if not scaling or scaling.get("rope_type") != "llama3":
            return None
        factor, low, high = scaling["factor"], scaling["low_freq_factor"], scaling["high_freq_factor"]
        original, factors = scaling["original_max_position_embeddings"], []
        for i in range(self.head_dim // 2):
            wavelength = 2 * math.pi * self.config["rope_theta"] ** (2 * i / self.head_dim)
            if wavelength < original / high:
                factors.append(1.0)
            elif wavelength > original / low:
                factors.append(float(factor))
            else:
                smooth = (original / wavelength - low) / (high - low)
                factors.append(1 / ((1 - smooth) / factor + smooth))
        return factors

    def extra_tensors(self):
        factors = self.rope_factors()
        if factors is None:
            return []
        data = struct.pack(f"<{len(factors)}f", *factors)
        return [("rope_freqs.weight", [len(factors)], TENSOR_F32, len(data), lambda: [data])]


def byte_alphabet():
    """The printable stand-ins of byte-level BPE: byte -> character."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


def dummy_tokenizer(shape):
    """The smallest byte-level tokenizer with the right number of tokens; benchmarks feed ids."""
    alphabet = byte_alphabet()
    tokens = [alphabet[byte] for byte in range(256)] + ["ab"]  # what the one merge makes
    tokens += [f"<{i}>" for i in range(len(tokens), shape.vocab)]
    end = shape.config["eos_token_id"]
    return [("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "gpt-2"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, [NORMAL_TOKEN] * shape.vocab)),
            ("tokenizer.ggml.merges", ARRAY, (STRING, ["a b"])),
            ("tokenizer.ggml.bos_token_id", U32, shape.config["bos_token_id"]),
            ("tokenizer.ggml.eos_token_id", U32, end[0] if isinstance(end, list) else end),
            ("tokenizer.ggml.add_bos_token", BOOL, False)]


def gaussian_block(seed, deviation):
    """BLOCK_VALUES seeded normal values as bfloat16, rounded towards zero."""
    source = random.Random(seed)
    block = bytearray()
    for _ in range(BLOCK_VALUES):
        block += struct.pack("<f", source.gauss(0.0, deviation))[2:]
    return bytes(block)


def repeated(block, size):
    for begin in range(0, size, len(block)):
        yield block[:min(len(block), size - begin)]


def write_dummy(shape, path, most_rows=None):
    """The whole model in bf16, or one whose matrices have their first rows only: enough for a quantizer."""
    block = gaussian_block(7, shape.config.get("initializer_range", 0.02))

    def tensor(name, sizes):
        if len(sizes) == 1:
            return name, sizes, TENSOR_F32, 4 * sizes[0], lambda: [struct.pack("<f", 1.0) * sizes[0]]
        sizes = [sizes[0], min(sizes[1], most_rows or sizes[1])]
        size = gguf_file.bytes_of(sizes, TENSOR_BF16)
        return name, sizes, TENSOR_BF16, size, lambda: repeated(block, size)

    tensors = [tensor(name, sizes) for name, sizes, _ in shape.tensors()] + shape.extra_tensors()
    gguf_file.write(path, shape.pairs() + dummy_tokenizer(shape), tensors)


def write_widened(shape, thin_path, path):
    """A quantized model of few rows as one of all rows, by repeating them: formats store rows one by one, each tensor
    keeps the type its quantizer chose, and speed does not depend on values."""
    thin, rows_of = gguf_file.Header(thin_path), {name: sizes for name, sizes, _ in shape.tensors()}

    def tensor(name, entry):
        sizes, kind, offset, size = entry
        full = rows_of.get(name, sizes)
        if len(sizes) == 1:
            size = gguf_file.bytes_of(sizes, kind)
        with open(thin_path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
        whole = size if len(sizes) == 1 else size // sizes[1] * full[1]
        return name, full, kind, whole, lambda: repeated(data, whole)

    gguf_file.write(path, thin.raw_pairs, [tensor(name, entry) for name, entry in thin.tensors.items()])


class PeerModels:
    """The files of one shape, made when first asked for and kept in `folder`."""

    def __init__(self, shape, folder, threads, say):
        digest = hashlib.sha256(shape.path.read_bytes()).hexdigest()[:8]
        self.shape, self.threads, self.say = shape, threads, say
        self.folder = pathlib.Path(folder) / f"{shape.name}-{digest}"

    def _made(self, name, write):
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.say(f"writing {path}")
            partial = path.with_suffix(".partial")
            write(partial)
            partial.rename(path)
        return path

    def file(self, peer_name, quantizer, form):
        """The model in a peer's format, by that peer's quantizer. A format FORMAT:head=TYPE also sets the type of
        embeddings and head."""
        if form.lower() == "bf16":
            return self._made("bf16.gguf", lambda path: write_dummy(self.shape, path))
        thin = self._made("thin-bf16.gguf", lambda path: write_dummy(self.shape, path, THIN_ROWS))
        name = f"{peer_name}-{form.replace(':', '-').replace('=', '-')}.gguf"

        def write(path):
            packed = self.folder / f"thin-{name}"
            quantize(quantizer, thin, packed, form, self.threads, self.say)
            write_widened(self.shape, packed, path)
            packed.unlink()
        return self._made(name, write)


def quantize(quantizer, source, path, form, threads, say):
    kind, _, head = form.partition(":head=")
    flags = ["--output-tensor-type", head, "--token-embedding-type", head] if head else []
    partial = path.with_suffix(".partial")
    command = [str(quantizer), *flags, str(source), str(partial), kind, str(threads)]
    say(f"quantizing {path.name}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0 or not partial.exists():
        partial.unlink(missing_ok=True)
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    partial.rename(path)
