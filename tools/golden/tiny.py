"""Tiny random checkpoints: makes the folder, loads it with transformers, records what every module gives."""
import copy
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, DynamicCache

import rope_reference
from golden_file import write_golden
from variants import BASE, MODEL_TYPES

TOLERANCE = 1e-5  # of a row's L2 norm; what the fp32 gate allows
NOISE_LIMIT = 2.5e-6  # transformers' own fp32 error in the logits, against fp64: leaves most of the tolerance to the tested side
MODULE_NOISE_LIMIT = 5e-6  # the same in every recorded module: a row that nearly cancels proves nothing
GREEDY = 32
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def make_config(entry: dict) -> dict:
    config = {"architectures": [entry["architecture"]], "model_type": MODEL_TYPES[entry["architecture"]], **BASE,
              **entry["config"]}
    config["dtype" if entry.get("style") == "new" else "torch_dtype"] = entry.get("dtype", "bfloat16")
    if config["num_key_value_heads"] is None:
        del config["num_key_value_heads"]
    return config


def patched(config: dict, patch: dict) -> dict:
    """config with keys replaced; "a.b" reaches into a dictionary; None removes a nested key."""
    out = copy.deepcopy(config)
    for key, value in patch.items():
        *parents, leaf = key.split(".")
        target = out
        for parent in parents:
            target = target[parent]
        if value is None and parents:
            target.pop(leaf, None)
        else:
            target[leaf] = value
    return out


def sigma(name: str, shape: tuple[int, ...]) -> float:
    """Standard deviation per role. Query and key projections are large, so that softmax has something to choose."""
    if name.endswith(".bias"):
        return 0.4
    fan_in = shape[-1]
    gain = {"q_proj": 1.45, "k_proj": 1.45, "v_proj": 1.0, "o_proj": 1.5, "gate_proj": 1.5, "up_proj": 1.5, "down_proj": 1.5}
    for role, value in gain.items():
        if role in name:
            return value / fan_in ** 0.5
    return 0.5 if "embed_tokens" in name else 1.5 / fan_in ** 0.5  # lm_head


def random_weights(config: dict, seed: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """One tensor per parameter of the module tree that transformers builds for this config."""
    rng = np.random.default_rng(seed)
    skeleton = build(config)
    weights = {}
    for name, parameter in skeleton.named_parameters():  # a tied head is not listed twice
        shape = tuple(parameter.shape)
        value = rng.standard_normal(shape)
        if name.endswith("norm.weight"):
            mean = 1.6 if name.endswith(("q_norm.weight", "k_norm.weight")) else 1.0
            value = mean + 0.25 * value
        else:
            value = value * sigma(name, shape)
        weights[name] = torch.from_numpy(value.astype(np.float32)).to(dtype)
    return weights


def build(config: dict):
    cfg = transformers.AutoConfig.for_model(**copy.deepcopy(config))
    return AutoModelForCausalLM.from_config(cfg, attn_implementation="eager", dtype=torch.float32)


def write_checkpoint(folder: Path, entry: dict, config: dict, weights: dict[str, torch.Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(weights)
    if entry.get("extras") == "lm_head":
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if entry.get("extras") == "inv_freq":
        dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        f, _ = rope_reference.frequencies({"rope_type": "default", "rope_theta": config["rope_theta"]}, dim, 0)
        for layer in range(config["num_hidden_layers"]):
            tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.from_numpy(f).clone()
    shards = entry.get("shards", 1)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        names = sorted(tensors)
        parts = [names[i * len(names) // shards:(i + 1) * len(names) // shards] for i in range(shards)]
        files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
        for file, part in zip(files, parts):
            save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        total = sum(t.numel() * t.element_size() for t in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": {n: f for f, part in zip(files, parts) for n in part}}
        write_json(folder / "model.safetensors.index.json", index)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"],
                                                   "do_sample": False})


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def load(folder: Path, dtype: torch.dtype = torch.float32):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.eval()


class Recorder:
    """Keeps the output of every module of interest under its module name."""

    def __init__(self, model):
        self.out: dict[str, torch.Tensor] = {}
        self.hooks = [module.register_forward_hook(self.keep(name)) for name, module in model.named_modules()
                      if name and not name.endswith(("rotary_emb", "act_fn", "layers")) and name != "model"]

    def keep(self, name):
        def hook(_module, _inputs, output):
            value = output[0] if isinstance(output, tuple) else output
            self.out[name] = value.detach()[0].clone().contiguous()
        return hook

    def close(self):
        for hook in self.hooks:
            hook.remove()


@torch.no_grad()
def step(model, ids, positions, cache, attentions=False):
    # The mask of ones matters: without it transformers takes a jump in the positions for the start of another sequence.
    seen = cache.get_seq_length() if cache is not None else 0
    return model(input_ids=torch.tensor([ids]), position_ids=torch.tensor([positions]), past_key_values=cache,
                 attention_mask=torch.ones(1, seen + len(ids), dtype=torch.long), use_cache=cache is not None,
                 output_attentions=attentions)


@torch.no_grad()
def greedy_steps(model, ids, positions, count, freeze_rope=False):
    """(ids, each one's lead over tolerance, last logits). The cache holds keys as they were rotated when written."""
    cache = DynamicCache(config=model.config)
    logits = step(model, ids, positions, cache).logits[0, -1]
    rotary = model.model.rotary_emb
    kind = rotary.rope_type
    if freeze_rope:
        rotary.rope_type = "default"  # keeps the frequencies that the prefill chose
    out, margins = [], []
    for i in range(count):
        top = torch.topk(logits, 2).values
        margins.append(float((top[0] - top[1]) / (TOLERANCE * logits.norm())))
        out.append(int(logits.argmax()))
        last = logits
        if i + 1 < count:
            logits = step(model, [out[-1]], [positions[-1] + 1 + i], cache).logits[0, -1]
    rotary.rope_type = kind
    return out, margins, last


def greedy(model, ids, positions, count, freeze_rope=False):
    """(ids, smallest lead over tolerance, last logits)."""
    out, margins, last = greedy_steps(model, ids, positions, count, freeze_rope)
    return out, min(margins), last


def attention_peak(attentions) -> tuple[float, float]:
    """Mean over layers, heads and rows >= 8 of the largest probability, and the same for uniform attention."""
    peak = torch.stack([a[0, :, 8:].max(-1).values.mean() for a in attentions]).mean()
    uniform = torch.stack([(1.0 / (a[0, :, 8:] > 0).sum(-1)).mean() for a in attentions]).mean()
    return float(peak), float(uniform)


def worst_row(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).double().norm(dim=-1) / b.double().norm(dim=-1)).max())


@torch.no_grad()
def drop_effects(entry, config, weights, ids, positions, logits) -> dict[str, float]:
    """Worst-row change of the logits when one switch is dropped: shows that the golden would notice."""
    effects = {}
    for what, drop in entry.get("drops", {}).items():
        changed, cfg = weights, config
        if isinstance(drop, dict):
            cfg = patched(config, drop)
        else:
            action, suffix = drop.split(":")
            fill = torch.zeros_like if action == "zero" else torch.ones_like
            changed = {n: fill(w) if n.endswith(suffix) else w for n, w in weights.items()}
        with tempfile.TemporaryDirectory() as scratch:
            write_checkpoint(Path(scratch), {**entry, "shards": 1, "extras": None}, cfg, changed)
            other = step(load(Path(scratch)), ids, positions, None).logits[0]
        effects[what] = worst_row(other, logits)
    return effects


def attempt(entry: dict, folder: Path, seed: int):
    """One seed: (tensors, facts), or the reason why this seed will not do."""
    config = make_config(entry)
    weights = random_weights(config, seed, DTYPES[entry.get("dtype", "bfloat16")])
    n, vocab = entry.get("n", 24), config["vocab_size"]
    rng = np.random.default_rng([seed, 1])
    ids = [1] + [int(i) for i in rng.integers(3, vocab, n - 1)]
    positions = list(range(n))
    write_checkpoint(folder, entry, config, weights)
    frozen = greedy(load(folder), ids, positions, GREEDY, freeze_rope=True) if entry.get("dynamic") else None
    out, margin, last = greedy(load(folder), ids, positions, GREEDY)
    if frozen:
        margin = min(margin, frozen[1])
    if margin < 100:
        return f"margin {margin:.0f}"
    if len(set(out)) < 10 or config["eos_token_id"] in out:
        return f"{len(set(out))} distinct greedy ids"
    model = load(folder)
    recorder = Recorder(model)
    result = step(model, ids, positions, None, attentions=True)
    recorder.close()
    peak, uniform = attention_peak(result.attentions)
    logits = result.logits[0].float().contiguous()
    if peak < 2.5 * uniform:
        return f"attention peak {peak:.2f}"
    effects = drop_effects(entry, config, weights, ids, positions, logits)
    if any(e < 100 * TOLERANCE for e in effects.values()):
        return f"drops not visible: {effects}"
    exact = load(folder, torch.float64)
    exact_recorder = Recorder(exact)
    noise = worst_row(logits, step(exact, ids, positions, None).logits[0])
    exact_recorder.close()
    if noise > NOISE_LIMIT:
        return f"fp32 is {noise:.1e} from fp64"
    for name, value in slim(recorder.out).items():
        if worst_row(value, exact_recorder.out[name]) > MODULE_NOISE_LIMIT:
            return f"fp32 is {worst_row(value, exact_recorder.out[name]):.1e} from fp64 in {name}"
    i64 = lambda v: torch.tensor(v, dtype=torch.int64)  # noqa: E731
    tensors = {"prompt_ids": i64(ids), "positions": i64(positions), "greedy_ids": i64(out), "logits": logits,
               "greedy_logits_last": last.float().contiguous(), **slim(recorder.out)}
    facts = {"seed": seed, "min_greedy_margin": f"{margin:.0f}", "attention_peak": f"{peak:.3f}",
             "attention_uniform": f"{uniform:.3f}", "logits_fp32_vs_fp64": f"{noise:.2e}",
             "drop_effects": json.dumps({k: float(f"{v:.3g}") for k, v in effects.items()})}
    if frozen:
        tensors["greedy_ids_frozen_rope"] = i64(frozen[0])
        facts["rope_seq_len"] = n
    return tensors, facts


def slim(outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inner projections of layer 0 only; layer outputs, norms, attention and mlp of every layer."""
    inner = ("_proj", "q_norm", "k_norm")
    return {n: t for n, t in outputs.items() if not n.endswith(inner) or n.startswith("model.layers.0.")}


def record(family: str, entry: dict, folder: Path) -> dict:
    reasons = []
    for seed in range(1, 400):
        result = attempt(entry, folder, seed)
        if not isinstance(result, str):
            break
        reasons.append(result)
    else:
        raise SystemExit(f"{family}/{entry['name']}: no seed below 400 will do; last reasons: {reasons[-5:]}")
    tensors, facts = result
    metadata = {"format": "corbel.golden.v1", "family": family, "architecture": entry["architecture"],
                "transformers": transformers.__version__, "torch": torch.__version__, "dtype": entry.get("dtype", "bfloat16"),
                "switches": entry["switches"], "inv_freq": "float64 rounded", **{k: str(v) for k, v in facts.items()}}
    write_golden(folder / "golden.safetensors", tensors, metadata)
    for file in folder.iterdir():
        file.chmod(0o644)
    return metadata
