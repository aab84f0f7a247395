"""Records goldens from Hugging Face transformers: python record.py [--only SUBSTRING] [tiny] [real]

Run by `make golden` in the environment of setup.sh. Writes models/<family>/goldens/NAME/ (tiny checkpoints with their
golden) and models/<family>/goldens/real/NAME/ (outputs of real shapes with seeded weights). Same versions, same bytes
of prompts and weights; module outputs may differ in the last bits on another processor.
"""
import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers

import rope_reference
from cards import write_card

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 400_000


def folder_bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir() if f.is_file())


def record_all(kind: str, only: str) -> None:
    if kind == "tiny":
        import tiny as module
        from variants import FAMILIES
    else:
        import real as module
        from real_shapes import FAMILIES
    for family, entries in FAMILIES.items():
        for entry in entries:
            if only not in entry["name"]:
                continue
            base = ROOT / "models" / family / "goldens"
            folder = base / entry["name"] if kind == "tiny" else base / "real" / entry["name"]
            facts = module.record(family, entry, folder)
            size = folder_bytes(folder)
            print(f"{family}/{entry['name']}: {size / 1000:.0f} KB seed={facts['seed']} margin={facts['min_greedy_margin']} "
                  f"attention={facts['attention_peak']}/{facts['attention_uniform']} drops={facts['drop_effects']} "
                  f"noise={facts.get('logits_fp32_vs_fp64', '-')}", flush=True)
            if size > LIMIT_BYTES:
                sys.exit(f"{folder}: {size} bytes, the limit is {LIMIT_BYTES}")
    print(f"rope {kind}: transformers against float64, ulps: {rope_reference.worst_ulps}")


def main() -> None:
    parser = argparse.ArgumentParser(description="records goldens from Hugging Face transformers")
    parser.add_argument("kinds", nargs="*", default=["tiny", "real"], help="tiny, real (default: both)")
    parser.add_argument("--only", default="", help="record entries whose name contains this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rope_reference.install()
    for kind in args.kinds:
        record_all(kind, args.only)
    for family in sorted({card.parent for card in (ROOT / "models").glob("*/README.md") if (card.parent / "goldens").is_dir()}):
        write_card(family)


if __name__ == "__main__":
    main()
