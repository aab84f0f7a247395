#!/usr/bin/env python3
"""Records what Hugging Face's logits processors leave of fixed rows of logits: corbel/engine/goldens/sampling.jsonl.

  $(tools/golden/setup.sh) tools/golden/sampling.py

Processors stand in the order of transformers' generate(). Presence and frequency penalty are not among them; they are
written here as OpenAI documents them, between repetition penalty and mask. Everything runs in fp32 and again in fp64;
a case in which the two keep different tokens lies on a border and is drawn anew.
"""
import json
import pathlib
import random

import torch
import transformers
from transformers.generation import logits_process as hf

OUT = pathlib.Path(__file__).resolve().parents[2] / "corbel/engine/goldens/sampling.jsonl"
CASES_PER_ROW = 30
MOST_SHOWN = 400  # candidates of a case


def make_rows():
    """name, logits, history, tokens of the prompt."""
    torch.manual_seed(11)
    peaked = torch.randn(300) * 2.0
    peaked[torch.randint(300, (5,))] += 9.0
    rows = [("small", torch.randn(24) * 2.5), ("peaked", peaked), ("flat", torch.randn(150) * 0.3), ("pair", torch.tensor([1.0, 1.5])),
            ("far", torch.randn(40) * 30.0 - 500.0), ("one", torch.tensor([-3.25]))]
    numbers = random.Random(5)
    for name, logits in rows:
        size = len(logits)
        history = [numbers.randrange(size) for _ in range(12)] + [numbers.randrange(min(size, 6)) for _ in range(9)]
        yield name, logits.float(), history, 12


def pick_options(numbers, size):
    """One to four options that differ from their defaults, and temperature."""
    options = {"temperature": numbers.choice([0.3, 0.7, 1.0, 1.0, 1.6, 20.0])}
    offered = {"top_k": lambda: numbers.randrange(1, size + 3), "top_p": lambda: round(numbers.uniform(0.05, 0.999), 3),
               "min_p": lambda: round(10 ** numbers.uniform(-4, -0.05), 5), "typical_p": lambda: round(numbers.uniform(0.05, 0.98), 3),
               "repetition_penalty": lambda: round(numbers.uniform(0.6, 1.9), 2), "presence_penalty": lambda: round(numbers.uniform(-2, 2), 2),
               "frequency_penalty": lambda: round(numbers.uniform(-2, 2), 2)}
    for name in numbers.sample(sorted(offered), numbers.randrange(0, 5)):
        options[name] = offered[name]()
    if numbers.random() < 0.3:
        options["penalty_window"] = numbers.randrange(1, 24)
    if numbers.random() < 0.3:
        chosen = numbers.sample(range(size), min(size, numbers.randrange(1, 5)))
        options["logit_bias"] = {str(token): round(numbers.choice([-100, 100, numbers.uniform(-5, 5)]), 2) for token in chosen}
    if numbers.random() < 0.3:
        options["allowed"] = sorted(numbers.sample(range(size), numbers.randrange(1, size + 1)))
    if size > 4 and "allowed" not in options and numbers.random() < 0.2:
        options["banned"] = sorted(numbers.sample(range(size), 3))
    return options


def counted_penalties(scores, answer, options):
    """mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence, c of the answer alone (OpenAI's API reference)."""
    counts = torch.bincount(torch.tensor(answer, dtype=torch.long), minlength=scores.shape[-1]).to(scores.dtype)
    return scores - counts * options.get("frequency_penalty", 0.0) - (counts > 0).to(scores.dtype) * options.get("presence_penalty", 0.0)


def remaining(logits, history, prompt_tokens, options):
    """Softmax of what the processors leave, and the scores that greedy decoding would see."""
    window = options.get("penalty_window", 0) or len(history)
    seen, answer = history[-window:], history[prompt_tokens:][-window:]
    ids, scores = torch.tensor([history]), logits[None].clone()
    if "logit_bias" in options:
        scores = hf.SequenceBiasLogitsProcessor([[[int(token)], float(bias)] for token, bias in options["logit_bias"].items()])(ids, scores)
    if "repetition_penalty" in options:
        scores = hf.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"])(torch.tensor([seen]), scores)
    scores = counted_penalties(scores, answer, options)
    if "banned" in options:
        scores = hf.MinNewTokensLengthLogitsProcessor(prompt_tokens, 1000, options["banned"])(ids, scores)
    if "allowed" in options:
        scores = hf.PrefixConstrainedLogitsProcessor(lambda batch, sent: options["allowed"], 1)(ids, scores)
    greedy = int(scores[0].argmax())
    scores = hf.TemperatureLogitsWarper(options["temperature"])(ids, scores)
    for name, warper in (("top_k", hf.TopKLogitsWarper), ("top_p", hf.TopPLogitsWarper), ("min_p", hf.MinPLogitsWarper), ("typical_p", hf.TypicalLogitsWarper)):
        if name in options:
            scores = warper(options[name])(ids, scores)
    return scores[0].softmax(-1), torch.isfinite(scores[0]).nonzero()[:, 0].tolist(), greedy


def record_row(index, logits, history, prompt_tokens):
    numbers = random.Random(100 + index)
    cases = []
    while len(cases) < CASES_PER_ROW:
        options = pick_options(numbers, len(logits))
        exact, exact_ids, exact_greedy = remaining(logits.double(), history, prompt_tokens, options)
        found, ids, greedy = remaining(logits, history, prompt_tokens, options)
        if ids != exact_ids or greedy != exact_greedy or len(ids) > MOST_SHOWN:
            continue
        cases.append({"row": index, "options": options, "greedy": greedy, "ids": ids, "probabilities": [float(f"{found[i]:.8g}") for i in ids]})
    return cases


def main():
    rows, cases = [], []
    for index, (name, logits, history, prompt_tokens) in enumerate(make_rows()):
        rows.append({"name": name, "prompt_tokens": prompt_tokens, "history": history, "logits": [float(f"{x:.9g}") for x in logits]})
        cases += record_row(index, logits, history, prompt_tokens)
    head = {"format": "corbel.sampling.v1", "transformers": transformers.__version__, "torch": torch.__version__}
    lines = [json.dumps(head)] + [json.dumps(line) for line in rows + cases]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n")
    print(f"{OUT}: {len(rows)} rows, {len(cases)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
