"""Seeded weights: the same tensor from the same name, bit for bit as corbel/format/seeded_weights.h makes it.

Real shapes need gigabytes of weights that nobody wants to commit; only the seed is. The header has the definition;
this is its numpy twin. `python seeded.py` prints the vectors that seeded_weights_test.cpp holds.
"""
import math

import numpy as np

GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
ROW_SALT = np.uint64(0x5851F42D4C957F2D)
SIGMA_OF_SUM = 26754.6  # standard deviation of the sum of two uniform 16-bit numbers, to six digits
LOUD_ONE_IN, LOUD_FACTOR = 1024, 16.0

# (suffix of the tensor's name, mean, standard deviation, divided by sqrt(fan in), has loud rows); the first match holds
ROLES = [
    ("q_norm.weight", 1.6, 0.2, False, False),
    ("k_norm.weight", 1.6, 0.2, False, False),
    ("norm.weight", 1.0, 0.1, False, False),
    (".bias", 0.0, 0.25, False, False),
    ("embed_tokens.weight", 0.0, 0.005, False, True),
    ("lm_head.weight", 0.0, 0.02, False, True),
    ("q_proj.weight", 0.0, 1.5, True, False),
    ("k_proj.weight", 0.0, 1.5, True, False),
    ("o_proj.weight", 0.0, 2.0, True, False),
    ("down_proj.weight", 0.0, 2.0, True, False),
    ("", 0.0, 1.25, True, False),
]


def fnv1a(text: str) -> int:
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def mix(z: np.ndarray) -> np.ndarray:
    """The finalizer of splitmix64 (Vigna, public domain)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def to_bfloat16_bits(x: np.ndarray) -> np.ndarray:
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def role_of(name: str) -> tuple:
    return next(role for role in ROLES if name.endswith(role[0]))


def loud_rows(seed: int, name: str, rows: int) -> np.ndarray:
    key = np.uint64(fnv1a(name) ^ seed)
    with np.errstate(over="ignore"):
        return mix((key ^ ROW_SALT) + np.arange(1, rows + 1, dtype=np.uint64) * GOLDEN_RATIO) % np.uint64(LOUD_ONE_IN) == 0


def seeded_f32(seed: int, name: str, shape: tuple[int, ...], chunk: int = 1 << 22) -> np.ndarray:
    """The tensor before it is rounded to its stored type."""
    _, mean, sigma, per_fan_in, loud = role_of(name)
    if per_fan_in:
        sigma = sigma / math.sqrt(float(shape[-1]))
    scale = np.float32(sigma / SIGMA_OF_SUM)
    offset = np.int32(math.floor(mean * SIGMA_OF_SUM / sigma + 0.5))
    count = math.prod(shape)
    out = np.empty(count + count % 2, dtype=np.float32)
    key = np.uint64(fnv1a(name) ^ seed)
    with np.errstate(over="ignore"):
        for first in range(0, len(out), chunk):
            last = min(first + chunk, len(out))
            h = mix(key + np.arange(first // 2 + 1, last // 2 + 1, dtype=np.uint64) * GOLDEN_RATIO)
            fields = h.view(np.uint16).reshape(-1, 2).astype(np.int32)
            out[first:last] = (fields[:, 0] + fields[:, 1] + np.int32(offset - 65535)).astype(np.float32) * scale
    out = out[:count].reshape(shape)
    if loud:
        out[loud_rows(seed, name, shape[0])] *= np.float32(LOUD_FACTOR)
    return out


def seeded_bf16_bits(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return to_bfloat16_bits(seeded_f32(seed, name, shape).reshape(-1)).reshape(shape)


VECTORS = [
    (1, "model.embed_tokens.weight", (4096, 24)), (1, "lm_head.weight", (1500, 7)), (7, "model.norm.weight", (33,)),
    (7, "model.layers.3.self_attn.q_proj.weight", (12, 100)), (7, "model.layers.3.self_attn.k_norm.weight", (128,)),
    (2**63 + 5, "model.layers.0.self_attn.v_proj.bias", (31,)), (3, "model.layers.0.mlp.down_proj.weight", (9, 11)),
    (3, "model.layers.0.mlp.gate_proj.weight", (9, 11)), (3, "visual.patch.weight", (5, 3, 2)),
]


def fnv1a_bytes(data: bytes) -> int:
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def print_vectors() -> None:
    for seed, name, shape in VECTORS:
        f32 = seeded_f32(seed, name, shape).reshape(-1)
        hashes = [fnv1a_bytes(a.tobytes()) for a in (f32, to_bfloat16_bits(f32), f32.astype(np.float16))]
        bits = ", ".join(f"0x{b:08x}u" for b in f32[:3].view(np.uint32))
        dims = ", ".join(map(str, shape))
        print(f'    {{{seed}u, "{name}", {{{dims}}}, {{{bits}}}, {{{", ".join(f"0x{h:016x}u" for h in hashes)}}}}},')


if __name__ == "__main__":
    print_vectors()
