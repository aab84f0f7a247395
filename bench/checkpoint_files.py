"""A Hugging Face folder to a GGUF file for the peers' quantizers, and their dequantized answer back to a folder."""
import json
import pathlib
import shutil
import struct

import gguf_file
import peer_models
from gguf_file import TENSOR_BF16, TENSOR_F16, TENSOR_F32

DTYPES = {"F32": TENSOR_F32, "F16": TENSOR_F16, "BF16": TENSOR_BF16}


class Safetensors:
    """The tensors of model.safetensors, or of the shards its index names: name -> (dtype, shape, bytes)."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        index = folder / "model.safetensors.index.json"
        files = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else ["model.safetensors"]
        self.entries = {}
        for name in files:
            path = folder / name
            with open(path, "rb") as file:
                size = struct.unpack("<Q", file.read(8))[0]
                header = json.loads(file.read(size))
            for tensor, entry in header.items():
                if tensor != "__metadata__":
                    begin, end = entry["data_offsets"]
                    self.entries[tensor] = (path, entry["dtype"], entry["shape"], 8 + size + begin, end - begin)

    def read(self, name):
        path, dtype, shape, offset, size = self.entries[name]
        with open(path, "rb") as file:
            file.seek(offset)
            return dtype, shape, file.read(size)


def write_safetensors(path, tensors):
    """tensors: [(name, dtype, shape, bytes)]"""
    header, offset = {}, 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, data in tensors:
            out.write(data)


def row_order(shape, name):
    """For q and k of arch llama: GGUF row -> Hugging Face row. The file wants the two halves of a head's rotary pairs
    interleaved: row 2 i + j of a head is Hugging Face's row j * head_dim / 2 + i. None: rows stay."""
    if shape.arch != "llama" or not name.endswith(("q_proj.weight", "k_proj.weight")):
        return None
    heads = shape.q_heads if name.endswith("q_proj.weight") else shape.kv_heads
    half = shape.head_dim // 2
    return [head * shape.head_dim + j * half + i for head in range(heads) for i in range(half) for j in range(2)]


def to_f32(dtype, data):
    if dtype == "F32":
        return data
    if dtype == "F16":
        count = len(data) // 2
        return struct.pack(f"<{count}f", *struct.unpack(f"<{count}e", data))
    wide = bytearray(2 * len(data))
    wide[2::4], wide[3::4] = data[0::2], data[1::2]
    return bytes(wide)


def write_gguf(shape, folder, path):
    """Matrices as they are, vectors as f32."""
    source = Safetensors(folder)

    def tensor(gguf_name, sizes, name):
        dtype = source.entries[name][1]
        kind = TENSOR_F32 if len(sizes) == 1 else DTYPES[dtype]

        def chunks():
            dtype, _, data = source.read(name)
            order = row_order(shape, name)
            if len(sizes) == 1:
                yield to_f32(dtype, data)
            elif order is None:
                yield data
            else:
                row = len(data) // len(order)
                yield b"".join(data[i * row:(i + 1) * row] for i in order)
        return gguf_name, sizes, kind, gguf_file.bytes_of(sizes, kind), chunks

    tensors = [tensor(*row) for row in shape.tensors()] + shape.extra_tensors()
    gguf_file.write(path, shape.pairs() + peer_models.dummy_tokenizer(shape), tensors)


def write_folder(shape, checkpoint, gguf_path, folder):
    """A dequantized GGUF file as a Hugging Face folder with the checkpoint's config and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in pathlib.Path(checkpoint).iterdir():
        if entry.suffix in (".json", ".jinja", ".model", ".txt") and not entry.name.endswith(".index.json"):
            shutil.copy(entry, folder / entry.name)
    header, tensors = gguf_file.Header(gguf_path), []
    names = {kind: dtype for dtype, kind in DTYPES.items()}
    with open(gguf_path, "rb") as file:
        for gguf_name, sizes, name in shape.tensors():
            found, kind, offset, _ = header.tensors[gguf_name]
            if found != sizes or kind not in names:
                raise SystemExit(f"{gguf_path}: tensor {gguf_name} is {found} of type {kind}; expected {sizes}, dequantized")
            file.seek(offset)
            data = file.read(gguf_file.bytes_of(sizes, kind))
            order = row_order(shape, name)
            if order is not None:
                row, rows = len(data) // len(order), [b""] * len(order)
                for i, place in enumerate(order):
                    rows[place] = data[i * row:(i + 1) * row]
                data = b"".join(rows)
            tensors.append((name, names[kind], list(reversed(sizes)), data))
    write_safetensors(folder / "model.safetensors", tensors)
