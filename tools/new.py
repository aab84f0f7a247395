#!/usr/bin/env python3
"""Writes the files of a new thing, with its contract comments in place; refuses names that are taken or say nothing.

  usage: tools/new.py model|block|op|format|endpoint NAME [--root FOLDER]      NAME is snake_case
"""
import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lint_checks import CODE, clang
from lint_checks.text import BAD_NAMES, KNOWN_MODELS, pieces
from new_templates import KINDS


def pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def refusal(root: Path, kind: str, name: str) -> str | None:
    """Why nothing of this name can be written; None when it can."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        return f"\"{name}\" is no snake_case name: small letters and digits, words joined by _"
    said = [piece for piece in pieces(name) if piece in BAD_NAMES]
    if said:
        return f"\"{said[0]}\" says nothing of what is inside; name the thing"
    families = {folder.name for folder in (root / "models").glob("*")} | set(KNOWN_MODELS)
    if kind != "model" and families & set(pieces(name)):
        return f"\"{name}\" names a model; the library names effects (tools/new.py model makes a family)"
    taken = [path for path in planned(root, kind, name) if path.exists()]
    if kind == "model" and (root / "models" / name).exists():
        taken = [root / "models" / name]
    if taken:
        return f"{taken[0].relative_to(root)} already exists"
    return None


def planned(root: Path, kind: str, name: str) -> dict[Path, str]:
    """Where each file goes, and what is in it."""
    def filled(text: str) -> str:
        return text.replace("@name@", name).replace("@Name@", pascal(name))
    return {root / filled(path): filled(text) for path, text in KINDS[kind][0].items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="writes the files of a new thing")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args()
    reason = refusal(options.root, options.kind, options.name)
    if reason:
        print(f"tools/new.py: {reason}", file=sys.stderr)
        return 1
    files = planned(options.root, options.kind, options.name)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(options.root))
    if shutil.which(clang.FORMAT):  # a long name breaks lines elsewhere
        style = Path(__file__).resolve().parent.parent / ".clang-format"
        subprocess.run([clang.FORMAT, f"--style=file:{style}", "-i", *(str(path) for path in files if path.suffix in CODE)], check=True)
    print(f"next: {KINDS[options.kind][1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
