"""Tiny GGUF files from tiny goldens of models/, written by gguf-py under the names and in the order of llama.cpp's converter.

    $(tools/scratch_python.sh gguf gguf==0.19.0 numpy==2.4.6 safetensors==0.8.0) tools/golden/gguf_models.py

writes tests/gguf/models/NAME.gguf. What a model answers is in the golden beside its source, so nothing is recorded here.
Matrices keep their bits; vectors become f32, as converters do.
"""
import json
import math
import struct
from pathlib import Path

import gguf
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TYPES = {"F32": gguf.GGMLQuantizationType.F32, "F16": gguf.GGMLQuantizationType.F16, "BF16": gguf.GGMLQuantizationType.BF16}
SIZES = {"F32": 4, "F16": 2, "BF16": 2}
MODELS = {  # name: source, architecture on disk
    "llama_biases_f16": ("llama/goldens/all_biases_tied_f16", "llama"),
    "llama_wavelength_bf16": ("llama/goldens/rope_llama3_old_bf16", "llama"),
    "qwen2_tied_bf16": ("qwen/goldens/qwen2_tied_bf16", "qwen2"),
    "qwen3_yarn_bf16": ("qwen/goldens/qwen3_yarn_bf16", "qwen3"),
}


def read_tensors(path: Path) -> dict[str, tuple[str, np.ndarray]]:
    """name: (dtype, bytes [rows, row bytes] or [values, size])"""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data = np.frombuffer(raw[8 + length + begin:8 + length + end], dtype=np.uint8)
        shape = entry["shape"]
        size = SIZES[entry["dtype"]]
        tensors[name] = (entry["dtype"], data.reshape(shape[0], size * (shape[1] if len(shape) == 2 else 1)))
    return tensors


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """What conversion/llama.py does to queries and keys."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def as_f32(dtype: str, data: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(data).reshape(-1)
    if dtype == "BF16":
        return (flat.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return flat.view({"F32": np.float32, "F16": np.float16}[dtype]).astype(np.float32)


def rope_divisors(config: dict, scaling: dict, head_dim: int) -> np.ndarray:
    """As in conversion/llama.py, generate_extra_tensors."""
    base = config["rope_theta"]
    low, high, old = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["original_max_position_embeddings"]
    freqs = 1.0 / (base ** (np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)))
    divisors = []
    for freq in freqs:
        wavelength = 2 * math.pi / freq
        if wavelength < old / high:
            divisors.append(1)
        elif wavelength > old / low:
            divisors.append(scaling["factor"])
        else:
            smooth = (old / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(divisors, dtype=np.float32)


def add_keys(writer: gguf.GGUFWriter, config: dict, head_dim: int) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: gguf.GGUFWriter, config: dict, several_templates: bool) -> None:
    tokens = ["<unk>", "<s>", "</s>", "<|im_end|>"] + [f"t{i}" for i in range(4, config["vocab_size"])]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([float(-i) for i in range(len(tokens))])
    writer.add_token_types([2, 3, 3, 3] + [1] * (len(tokens) - 4))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    if several_templates:
        writer.add_chat_template([{"name": "default", "template": template}, {"name": "tool_use", "template": "tools"}])
    else:
        writer.add_chat_template(template)


def write(name: str, source: str, arch: str) -> None:
    folder = ROOT / "models" / source
    config = json.loads((folder / "config.json").read_text())
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    out = ROOT / "tests/gguf/models" / f"{name}.gguf"
    out.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(out, arch)
    add_keys(writer, config, head_dim)
    add_tokenizer(writer, config, several_templates=arch == "qwen3")
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type", scaling.get("type")) == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_divisors(config, scaling, head_dim))
    kind = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[arch]
    names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
    for hf_name, (dtype, data) in read_tensors(folder / "model.safetensors").items():
        if arch == "llama" and ".q_proj." in hf_name:
            data = permute(data, config["num_attention_heads"])
        if arch == "llama" and ".k_proj." in hf_name:
            data = permute(data, config["num_key_value_heads"])
        gguf_name = names.get_name(hf_name, try_suffixes=(".weight", ".bias"))
        is_vector = data.shape[1] == SIZES[dtype]
        if is_vector:
            writer.add_tensor(gguf_name, as_f32(dtype, data))
        else:
            writer.add_tensor(gguf_name, np.ascontiguousarray(data), raw_dtype=TYPES[dtype])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    out.chmod(0o644)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    for model, (source_folder, architecture) in MODELS.items():
        write(model, source_folder, architecture)
