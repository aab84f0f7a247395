"""The golden of any Hugging Face folder: what transformers answers to one prompt, in float32."""
import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from golden_file import write_golden
from tiny import Recorder, attention_peak, greedy_steps, step, worst_row

MARGIN = 100  # a greedy token whose lead is smaller proves nothing: rounding could turn it
GREEDY = 32
COLUMNS = 256
OUTPUT_BYTES = 260_000  # for module outputs: decides how many rows of the prompt are kept
INNER = ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")
NOT_SEEN = ("gate_proj", "up_proj", "down_proj", "lm_head", "rotary_emb", "act_fn")


def kept(outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Projections and head norms of layer 0 only; of the rest what Corbel's taps show."""
    return {n: t for n, t in outputs.items() if not n.endswith(NOT_SEEN)
            and (not n.endswith(INNER) or ".layers.0." in n)}


def rows_of(tokens: int, outputs: dict[str, torch.Tensor]) -> list[int]:
    bytes_per_row = sum(t[0].numel() * 4 for t in outputs.values())
    count = max(2, min(tokens, OUTPUT_BYTES // bytes_per_row))
    if count >= tokens or tokens < 4:
        return list(range(tokens))
    return sorted({round(1 + (tokens - 2) * i / (count - 1)) for i in range(count)})


def prompt_of(folder: Path, text: str, ids: list[int]) -> list[int]:
    return ids or AutoTokenizer.from_pretrained(folder, local_files_only=True)(text)["input_ids"]


@torch.no_grad()
def record_folder(folder: Path, out: Path, text: str, prompt_ids: list[int]) -> dict[str, str]:
    ids = prompt_of(folder, text, prompt_ids)
    if len(ids) < 2:
        raise SystemExit(f"{folder}: a prompt of {len(ids)} token(s) shows nothing; give --text or --prompt-ids of at least 2")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                 local_files_only=True).eval()
    positions = list(range(len(ids)))
    answer, margins, _ = greedy_steps(model, ids, positions, GREEDY)
    clear = next((i for i, margin in enumerate(margins) if margin < MARGIN), len(margins))
    if clear == 0:
        raise SystemExit(f"{folder}: the first greedy token leads by {margins[0]:.0f} tolerances only, {MARGIN} are needed; "
                         "take another prompt")
    recorder = Recorder(model)
    result = step(model, ids, positions, None, attentions=True)
    recorder.close()
    logits = result.logits[0].float().contiguous()
    outputs = kept(recorder.out)
    rows = torch.tensor(rows_of(len(ids), outputs))
    columns = torch.linspace(0, logits.shape[1] - 1, min(COLUMNS, logits.shape[1]), dtype=torch.float64).round().long()
    peak, uniform = attention_peak(result.attentions)
    config = json.loads((folder / "config.json").read_text())
    stored = config.get("dtype") or config.get("torch_dtype") or ""
    last = greedy_steps(model, ids, positions, clear)[2].float().contiguous()
    noise = worst_row(logits, step(model.double(), ids, positions, None).logits[0])
    i64 = lambda v: torch.tensor(v, dtype=torch.int64)  # noqa: E731
    tensors = {"prompt_ids": i64(ids), "positions": i64(positions), "greedy_ids": i64(answer[:clear]), "rows": rows,
               "greedy_logits_last": last,
               **{name: value[rows].contiguous() for name, value in outputs.items()},
               "logits_columns": columns, "logits_at_columns": logits[:, columns].contiguous()}
    metadata = {"format": "corbel.golden.v1", "architecture": type(model).__name__,
                "transformers": transformers.__version__, "torch": torch.__version__, "dtype": stored,
                "inv_freq": "float64 rounded", "attention_peak": f"{peak:.3f}", "attention_uniform": f"{uniform:.3f}",
                "min_greedy_margin": f"{min(margins[:clear]):.0f}", "logits_fp32_vs_fp64": f"{noise:.2e}"}
    write_golden(out, tensors, metadata)
    out.chmod(0o644)
    print(f"{out}: {out.stat().st_size / 1000:.0f} KB, {len(ids)} prompt tokens, {len(rows)} rows kept, {clear} greedy tokens, "
          f"margin {metadata['min_greedy_margin']}, noise {metadata['logits_fp32_vs_fp64']}", flush=True)
    return metadata
