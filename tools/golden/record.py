"""Records goldens from Hugging Face transformers.

    python record.py [--only SUBSTRING] [tiny] [real] [built-in]
    python record.py --folder DIR (--text TEXT | --prompt-ids 1,2,3) [--out FILE]     any checkpoint of yours

Run by `make golden` in the environment of setup.sh. Writes models/<family>/goldens/NAME/ (tiny checkpoints with their
golden), models/<family>/goldens/real/NAME/ (outputs of real shapes with seeded weights) and share/pico's golden. Same versions, same bytes
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
BUILT_IN = ROOT / "share" / "pico"
BUILT_IN_PROMPT = "Explain grouped-query attention and tell me why the KV cache becomes smaller with it."


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


def record_built_in() -> None:
    from folder import record_folder
    golden = BUILT_IN / "golden.safetensors"
    record_folder(BUILT_IN, golden, BUILT_IN_PROMPT, [])
    if golden.stat().st_size > LIMIT_BYTES:
        sys.exit(f"{golden}: {golden.stat().st_size} bytes, the limit is {LIMIT_BYTES}")


def record_one_folder(args) -> None:
    from folder import record_folder
    if not args.text and not args.prompt_ids:
        sys.exit("--folder needs --text or --prompt-ids")
    ids = [int(part) for part in args.prompt_ids.split(",")] if args.prompt_ids else []
    record_folder(args.folder, args.out or args.folder / "golden.safetensors", args.text, ids)


def read_arguments():
    parser = argparse.ArgumentParser(description="records goldens from Hugging Face transformers")
    parser.add_argument("kinds", nargs="*", choices=["tiny", "real", "built-in", []], default=[],
                        help="tiny, real, built-in (default: all)")
    parser.add_argument("--only", default="", help="record entries whose name contains this")
    parser.add_argument("--folder", type=Path, help="a Hugging Face folder of yours, in place of all that")
    parser.add_argument("--text", default="", help="its prompt, as text for the folder's tokenizer")
    parser.add_argument("--prompt-ids", default="", help="its prompt, as token ids: 1,2,3")
    parser.add_argument("--out", type=Path, help="the file to write (default: golden.safetensors in the folder)")
    return parser.parse_args()


def main() -> None:
    args = read_arguments()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rope_reference.install()
    if args.folder:
        record_one_folder(args)
        return
    for kind in args.kinds or ["tiny", "real", "built-in"]:
        if kind == "built-in":
            record_built_in()
        else:
            record_all(kind, args.only)
    for family in sorted({card.parent for card in (ROOT / "models").glob("*/README.md") if (card.parent / "goldens").is_dir()}):
        write_card(family)


if __name__ == "__main__":
    main()
