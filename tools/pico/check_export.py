"""Compares the exported folder, run by transformers in fp32, with the network of model.py on the same weights.

    python tools/pico/check_export.py --model share/pico      needs torch, transformers, tokenizers

Also compares the tokenizer's ids and the chat template with transformers. Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from model import ModelConfig, Pico
from tokenizer import Tokenizer, render

HERE = pathlib.Path(__file__).resolve().parent
LOGITS_WITHIN = 2e-5  # relative to the largest logit; fp32 sums in another order differ by about 1e-6
SAMPLES = (
    "a  b   c\n\n  d \t e\r\n\r\nx", "I'm we'LL 'sfoo 123456 1a22b", "  ", "\n", " \n ", "x = 1;//  y\n\n\n",
    "\u65e5\u672c\u8a9e \u00f1 \u00e9 \u0301x", "\u00b2\u00b3\u00bd \u2167", "\u00a0\u3000 a", "\U0001f600\U0001f44d\U0001f3fd ok",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=HERE.parent.parent / "share" / "pico")
    options = parser.parse_args()
    theirs = AutoTokenizer.from_pretrained(options.model)
    ours = Tokenizer(options.model / "tokenizer.json")
    rows = [json.loads(line) for name in ("heldout", "openers") for line in (HERE / f"{name}.jsonl").open(encoding="utf-8")]
    texts = [row["text"] for row in rows] + list(SAMPLES)
    wrong = [text for text in texts if ours.encode(text) != theirs(text, add_special_tokens=False).input_ids]
    print(f"tokenizer: {len(texts) - len(wrong)} of {len(texts)} texts have the same ids; different: {wrong[:5]}")

    talk = [("system", "Be brief."), ("user", "What is decode?"), ("assistant", "One token per step."), ("user", "Why?")]
    messages = [{"role": role, "content": text} for role, text in talk]
    prompt = theirs.apply_chat_template(messages, tokenize=False)
    print(f"chat template: {'same' if prompt == render(talk) else 'DIFFERENT'}")

    network = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    pico = Pico(ModelConfig())
    pico.load_state_dict({k: v for k, v in network.state_dict().items() if k != "lm_head.weight"})
    ids = theirs(prompt, add_special_tokens=False, return_tensors="pt").input_ids.repeat(1, 8)
    with torch.no_grad():
        want, got = network(ids).logits, pico(ids)
    worst = ((want - got).abs().max() / want.abs().max()).item()
    print(f"logits: {tuple(want.shape)}, worst difference / largest logit {worst:.2e}, allowed {LOGITS_WITHIN:.0e}")
    return int(bool(wrong) or prompt != render(talk) or worst > LOGITS_WITHIN)


if __name__ == "__main__":
    sys.exit(main())
