"""Writes the table of goldens into each family's card, from the metadata of the files that are there."""
from pathlib import Path

from safetensors import safe_open

BEGIN = "<!-- goldens: written by tools/golden/record.py -->\n"
END = "<!-- /goldens -->"


def row(root: Path, file: Path) -> str:
    with safe_open(file, "np") as golden:
        m = golden.metadata()
    drops = m["drop_effects"].strip("{}").replace('"', "") or "-"
    return (f"| {file.parent.relative_to(root)} | {m['dtype']} | {m['switches'].replace(',', ', ')} | {m['min_greedy_margin']} | "
            f"{m['attention_peak']} / {m['attention_uniform']} | {m['logits_fp32_vs_fp64']} | {drops} |\n")


def write_card(family: Path) -> None:
    root = family / "goldens"
    files = sorted(root.glob("*/golden.safetensors")) + sorted(root.glob("real/*/golden.safetensors"))
    with safe_open(files[0], "np") as golden:
        m = golden.metadata()
    table = (f"\nRecorded with transformers {m['transformers']}, torch {m['torch']}, fp32, eager attention.\n\n"
             "| golden | stored | switches | margin | peak / uniform | noise | drops |\n|---|---|---|---|---|---|---|\n"
             + "".join(row(root, f) for f in files) + "\n")
    card = family / "README.md"
    before, rest = card.read_text().split(BEGIN)
    card.write_text(before + BEGIN + table + END + rest.split(END)[1])
