"""Blocks of random bits in every block format that Corbel reads from GGUF files, and their values by gguf-py.

    $(tools/scratch_python.sh gguf gguf==0.19.0 numpy==2.4.6 safetensors==0.8.0) tools/golden/gguf_blocks.py

writes corbel/format/goldens/gguf_blocks.safetensors: NAME.blocks U8 [blocks, bytes], NAME.values F32 [blocks * values].
"""
import importlib.metadata
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from safetensors.numpy import save_file

# Where a block has f16 numbers: they must be finite. Any other bits are allowed.
HALVES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0], Type.IQ4_NL: [0],
          Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ4_XS: [0]}
VALUES = 1024


def blocks_of(kind: Type, rng: np.random.Generator) -> np.ndarray:
    values, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (VALUES // values, size), dtype=np.uint8)
    for at in HALVES[kind]:
        infinite = (blocks[:, at + 1] & 0x7C) == 0x7C
        blocks[infinite, at + 1] &= 0xBF
    return blocks


def main() -> None:
    rng = np.random.default_rng(7)
    tensors = {}
    for kind in HALVES:
        blocks = blocks_of(kind, rng)
        name = kind.name.lower()
        tensors[f"{name}.blocks"] = blocks
        tensors[f"{name}.values"] = dequantize(blocks, kind).astype(np.float32).reshape(-1)
    out = Path(__file__).resolve().parents[2] / "corbel/format/goldens/gguf_blocks.safetensors"
    out.parent.mkdir(exist_ok=True)
    save_file(tensors, out, metadata={"gguf": importlib.metadata.version("gguf"), "numpy": np.__version__, "seed": "7"})
    out.chmod(0o644)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
