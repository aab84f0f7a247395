"""Goldens of real shapes: weights from a seed, so that only outputs are kept."""
import copy
import gc
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

from golden_file import write_golden
from real_shapes import BASES
from seeded import seeded_bf16_bits
from tiny import TOLERANCE, Recorder, attention_peak, greedy, patched, step, worst_row, write_json

WEIGHTS_SEED = 1
GREEDY = 8
COLUMNS = 256
TOP = 8
HIDDEN_BYTES = 320_000  # for hidden states: decides how many rows are kept, at most ROWS
ROWS = 6


def make_model(config: dict):
    """The module tree of transformers, float32, filled with bf16-rounded seeded weights."""
    cfg = transformers.AutoConfig.for_model(**copy.deepcopy(config))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(cfg, attn_implementation="eager", dtype=torch.float32)
    model.to_empty(device="cpu")
    model.tie_weights()
    for name, parameter in model.named_parameters():
        bits = seeded_bf16_bits(WEIGHTS_SEED, name, tuple(parameter.shape))
        parameter.data.copy_(torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16))
    set_rotary(model, config)
    return model.eval()


def set_rotary(model, config: dict) -> None:
    """A fresh rotary module: to_empty() left its buffers undefined, and dynamic scaling changes them as it runs."""
    cfg = transformers.AutoConfig.for_model(**copy.deepcopy(config))
    model.model.rotary_emb = type(model.model.rotary_emb)(cfg)


def search_prompt(model, entry: dict, config: dict):
    """A prompt whose greedy continuation is clear-cut at every step: (seed, ids, greedy ids, margin, frozen greedy ids)."""
    positions, reasons = entry["positions"], []
    eos = config["eos_token_id"]
    banned = set(eos if isinstance(eos, list) else [eos])
    for seed in range(1, 60):
        rng = np.random.default_rng([seed, 2])
        ids = [config["bos_token_id"]] + [int(i) for i in rng.integers(3, config["vocab_size"], len(positions) - 1)]
        frozen = None
        if entry.get("dynamic"):
            set_rotary(model, config)
            frozen = greedy(model, ids, positions, GREEDY, freeze_rope=True)
        set_rotary(model, config)
        out, margin, _ = greedy(model, ids, positions, GREEDY)
        margin = min(margin, frozen[1]) if frozen else margin
        if margin >= 100 and len(set(out)) >= 5 and not banned & set(out):
            return seed, ids, out, margin, frozen
        reasons.append((round(margin), len(set(out))))
    raise SystemExit(f"{entry['name']}: no prompt seed below 60 will do: {reasons}")


def kept_rows(n: int, tensors: int, hidden: int) -> list[int]:
    count = max(2, min(ROWS, HIDDEN_BYTES // (tensors * hidden * 4)))
    return sorted({round(2 + (n - 3) * i / (count - 1)) for i in range(count)})


def outputs(recorded: dict, logits: torch.Tensor, n: int) -> dict[str, torch.Tensor]:
    hidden = {k: v for k, v in recorded.items()
              if not k.endswith(("_proj", "q_norm", "k_norm", "embed_tokens", "lm_head"))}
    width = next(iter(hidden.values())).shape[-1]
    rows = torch.tensor(kept_rows(n, len(hidden), width))
    columns = torch.linspace(0, logits.shape[1] - 1, COLUMNS, dtype=torch.float64).round().long()
    top = torch.topk(logits, TOP)
    return {"rows": rows, **{k: v[rows].contiguous() for k, v in hidden.items()},
            "logits_columns": columns, "logits_at_columns": logits[:, columns].contiguous(),
            "logits_norm": logits.double().norm(dim=-1).float(), "logits_top_ids": top.indices.contiguous(),
            "logits_top": top.values.contiguous()}


def record(family: str, entry: dict, folder: Path) -> dict:
    config = {**BASES[family], **entry["config"]}
    positions = entry["positions"]
    model = make_model(config)
    seed, ids, out, margin, frozen = search_prompt(model, entry, config)
    set_rotary(model, config)
    recorder = Recorder(model)
    result = step(model, ids, positions, None, attentions=True)
    recorder.close()
    logits = result.logits[0].float().contiguous()
    peak, uniform = attention_peak(result.attentions)
    tensors = outputs(recorder.out, logits, len(ids))
    columns = tensors["logits_columns"]
    effects = {}
    for what, patch in entry["drops"].items():
        set_rotary(model, patched(config, patch))
        other = step(model, ids, positions, None).logits[0]
        effects[what] = worst_row(other[:, columns], logits[:, columns])
        if effects[what] < 100 * TOLERANCE:
            raise SystemExit(f"{entry['name']}: dropping {what} changes too little: {effects}")
    set_rotary(model, config)
    noise = worst_row(logits, step(model.double(), ids, positions, None).logits[0])
    del model
    gc.collect()
    i64 = lambda v: torch.tensor(v, dtype=torch.int64)  # noqa: E731
    tensors.update({"prompt_ids": i64(ids), "positions": i64(positions), "greedy_ids": i64(out)})
    metadata = {"format": "corbel.golden.v1", "family": family, "architecture": config["architectures"][0],
                "transformers": transformers.__version__, "torch": torch.__version__, "seed": str(seed),
                "weights": "seeded", "weights_seed": str(WEIGHTS_SEED), "dtype": config["torch_dtype"],
                "switches": entry["switches"], "inv_freq": "float64 rounded", "attention_peak": f"{peak:.3f}",
                "attention_uniform": f"{uniform:.3f}", "min_greedy_margin": f"{margin:.0f}",
                "logits_fp32_vs_fp64": f"{noise:.2e}",
                "drop_effects": json.dumps({k: float(f"{v:.3g}") for k, v in effects.items()})}
    if frozen:
        tensors["greedy_ids_frozen_rope"] = i64(frozen[0])
        metadata["rope_seq_len"] = str(max(positions) + 1)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_golden(folder / "golden.safetensors", tensors, metadata)
    for file in folder.iterdir():
        file.chmod(0o644)
    return metadata
