"""Rotary frequencies in float64, rounded once to float32.

transformers computes them with a float32 power, which may be an ulp (after YaRN or llama3 blending: several ulps) off;
at position 100000 one ulp of a frequency near 1 turns the angle by 0.008 rad. Goldens must not depend on the power
function of the machine that recorded them, so install() makes every rotary module use the values below.
Formulas: arXiv 2104.09864 (RoPE), 2309.00071 (YaRN), 2402.13753 (LongRoPE), transformers modeling_rope_utils.py.
"""
import math

import numpy as np
import torch

# Largest distance in ulps between transformers' float32 values and ours that is taken for rounding. A plain power stays
# within 2 when head_dim is a power of two; else the exponent 2i/dim is rounded too, which ln(theta) magnifies. Blended
# types subtract nearly equal numbers in float32, then divide by `factor`.
ULP_LIMIT = {"default": 2, "linear": 3, "longrope": 4, "dynamic": 16, "yarn": 16, "llama3": 64}
ODD_DIM_ULPS = 12

worst_ulps: dict[str, int] = {}


def powers(theta: float, dim: int) -> np.ndarray:
    """theta^(2i/dim), i = 0 .. dim/2-1."""
    return np.float64(theta) ** (np.arange(0, dim, 2, dtype=np.float64) / dim)


def yarn_scale(p: dict, max_positions: int) -> tuple[float, float]:
    original = p.get("original_max_position_embeddings") or max_positions
    factor = p["factor"] if p.get("factor") is not None else max_positions / original

    def mscale(m):
        return 1.0 if factor <= 1 else 0.1 * m * math.log(factor) + 1.0

    attention = p.get("attention_factor")
    if attention is None:
        m, m_all = p.get("mscale"), p.get("mscale_all_dim")
        attention = mscale(m) / mscale(m_all) if m and m_all else mscale(1.0)
    return factor, attention


def yarn(p: dict, dim: int, max_positions: int) -> tuple[np.ndarray, float]:
    theta = p["rope_theta"]
    original = p.get("original_max_position_embeddings") or max_positions
    factor, attention = yarn_scale(p, max_positions)

    def correction_dim(rotations):
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = correction_dim(p.get("beta_fast") or 32), correction_dim(p.get("beta_slow") or 1)
    if p.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(dim // 2, dtype=np.float64) - low) / (high - low), 0, 1)
    f = 1.0 / powers(theta, dim)
    return f / factor * ramp + f * (1 - ramp), attention


def llama3(p: dict, dim: int, max_positions: int) -> np.ndarray:
    factor, low, high = p["factor"], p["low_freq_factor"], p["high_freq_factor"]
    original = p.get("original_max_position_embeddings") or max_positions
    f = 1.0 / powers(p["rope_theta"], dim)
    wavelength = 2 * math.pi / f
    smooth = (original / wavelength - low) / (high - low)
    blended = (1 - smooth) * f / factor + smooth * f
    return np.where(wavelength > original / low, f / factor, np.where(wavelength < original / high, f, blended))


def longrope(p: dict, dim: int, max_positions: int, seq_len: int) -> tuple[np.ndarray, float]:
    original = p.get("original_max_position_embeddings") or max_positions
    factor = p["factor"] if p.get("factor") is not None else max_positions / original
    attention = p.get("attention_factor")
    if attention is None:
        attention = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    factors = p["long_factor"] if seq_len > original else p["short_factor"]
    return 1.0 / (np.array(factors, dtype=np.float32).astype(np.float64) * powers(p["rope_theta"], dim)), attention


def frequencies(p: dict, dim: int, max_positions: int, seq_len: int | None = None) -> tuple[np.ndarray, float]:
    """(float32 inverse frequencies [dim/2], factor of cos and sin) for a sequence whose last position is seq_len - 1."""
    kind, theta, attention = p["rope_type"], p["rope_theta"], 1.0
    if kind == "default":
        f = 1.0 / powers(theta, dim)
    elif kind == "linear":
        f = 1.0 / powers(theta, dim) / p["factor"]
    elif kind == "dynamic":
        length = max(seq_len or max_positions, max_positions)
        stretch = p["factor"] * length / max_positions - (p["factor"] - 1)
        f = 1.0 / powers(theta * stretch ** (dim / (dim - 2)), dim)
    elif kind == "yarn":
        f, attention = yarn(p, dim, max_positions)
    elif kind == "llama3":
        f = llama3(p, dim, max_positions)
    elif kind == "longrope":
        f, attention = longrope(p, dim, max_positions, seq_len or 0)
    else:
        raise ValueError(f"rope_type {kind!r} has no float64 formula here")
    return f.astype(np.float32), attention


def ulp_distance(a: np.ndarray, b: np.ndarray) -> int:
    """Largest distance between positive floats, in representable numbers."""
    return int(np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32).astype(np.int64)).max())


def replaced(kind: str, original):
    def compute(config, device=None, seq_len=None, layer_type=None, **_):
        theirs, attention = original(config) if kind == "default" else original(config, device, seq_len=seq_len)
        dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        length = None if seq_len is None else int(seq_len)
        ours, our_attention = frequencies(config.rope_parameters, dim, config.max_position_embeddings, length)
        if theirs.device.type == "meta":
            return theirs, attention
        ulps = ulp_distance(theirs.cpu().float().numpy(), ours)
        worst_ulps[kind] = max(worst_ulps.get(kind, 0), ulps)
        if ulps > ULP_LIMIT[kind] + (ODD_DIM_ULPS if dim & (dim - 1) else 0):
            raise AssertionError(f"rope {kind}: transformers and float64 differ by {ulps} ulps: {theirs} {ours}")
        if abs(attention - our_attention) > 1e-15:
            raise AssertionError(f"rope {kind}: attention factor {attention}, expected {our_attention}")
        return torch.from_numpy(ours).clone(), attention

    return compute


def install() -> None:
    """Patches transformers; call once, before any model is made."""
    from transformers import modeling_rope_utils as utils
    from transformers.models.llama import modeling_llama
    from transformers.models.mistral import modeling_mistral
    from transformers.models.qwen2 import modeling_qwen2
    from transformers.models.qwen3 import modeling_qwen3

    for kind in ("linear", "dynamic", "yarn", "llama3", "longrope"):
        utils.ROPE_INIT_FUNCTIONS[kind] = replaced(kind, utils.ROPE_INIT_FUNCTIONS[kind])
    for cls in (modeling_llama.LlamaRotaryEmbedding, modeling_mistral.MistralRotaryEmbedding,
                modeling_qwen2.Qwen2RotaryEmbedding, modeling_qwen3.Qwen3RotaryEmbedding):
        cls.compute_default_rope_parameters = staticmethod(replaced("default", cls.compute_default_rope_parameters))
