"""Writes golden.safetensors with a header in fixed order: the library's own writer shuffles __metadata__ at every run."""
import json
import struct
from pathlib import Path

import torch

DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def write_golden(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """I64 first, then F32, each by name: so every tensor is aligned to its element."""
    header, at, data = {"__metadata__": dict(sorted(metadata.items()))}, 0, []
    for name, tensor in sorted(tensors.items(), key=lambda item: (DTYPES[item[1].dtype] != "I64", item[0])):
        raw = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))
