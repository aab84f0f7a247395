"""Writes pico's weights as a plain Hugging Face folder: model.safetensors (bf16), config.json, generation_config.json."""

from __future__ import annotations

import json
import os
import pathlib
import struct

import torch
from torch import Tensor

from model import ModelConfig


def write_safetensors(path: pathlib.Path, tensors: dict[str, Tensor]) -> None:
    """bf16, in the order of the names, header padded so that the data begins on a multiple of 64 bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blobs, at = [], 0
    for name in sorted(tensors):
        blob = tensors[name].to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    part = path.with_suffix(".part")
    part.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    os.replace(part, path)


def export(weights: dict[str, Tensor], config: ModelConfig, specials: dict[str, int], folder: pathlib.Path) -> None:
    """The head is tied, so lm_head.weight is not stored."""
    generation = {
        "bos_token_id": specials["<|begin|>"],
        "eos_token_id": specials["<|end|>"],
        "pad_token_id": specials["<|pad|>"],
        "do_sample": False,
        "max_new_tokens": 256,
    }
    for name, content in (("config.json", config.to_hf(specials)), ("generation_config.json", generation)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    write_safetensors(folder / "model.safetensors", weights)
