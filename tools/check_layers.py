#!/usr/bin/env python3
"""Holds the floors: every include goes to the file's own folder or to a lower floor, as layers.txt says.

  usage: tools/check_layers.py [ROOT]        prints FILE:LINE: what is wrong and why; exit code 1 when anything is
"""
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
SOURCES = (".h", ".cpp", ".cc", ".c", ".cu", ".cuh", ".inc")


class TableError(Exception):
    """layers.txt says something that cannot be read."""


@dataclass
class Table:
    floors: dict[str, int] = field(default_factory=dict)           # room -> floor
    siblings: dict[str, set[str]] = field(default_factory=dict)    # room -> rooms of its own floor that it may see
    private: list[str] = field(default_factory=list)               # "device/cpu"
    outside: dict[str, int] = field(default_factory=dict)          # "models" -> highest floor seen
    interface: dict[str, int] = field(default_factory=dict)        # "corbel" -> highest floor seen
    roof: list[str] = field(default_factory=list)


@dataclass
class Violation:
    path: str
    line: int
    included: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: includes \"{self.included}\": {self.reason}"


def read_table(path: Path) -> Table:
    table = Table()
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = text.split("#")[0].split()
        if not words:
            continue
        kind, rest = words[0], words[1:]
        if kind == "floor" and len(rest) >= 2 and rest[0].isdigit():
            for word in rest[1:]:
                room, *others = re.split(r"[(),]+", word.rstrip(")"))
                if room in table.floors:
                    raise TableError(f"{path}:{number}: room \"{room}\" already stands on floor {table.floors[room]}")
                table.floors[room] = int(rest[0])
                table.siblings[room] = set(others)
        elif kind == "private" and rest:
            table.private += rest
        elif kind in ("outside", "interface") and len(rest) == 2 and rest[1].isdigit():
            getattr(table, kind)[rest[0]] = int(rest[1])
        elif kind == "roof" and rest:
            table.roof += rest
        else:
            raise TableError(f"{path}:{number}: \"{text.strip()}\" is no line of this table")
    return table


def private_folder(table: Table, path: str) -> str | None:
    """The closed door that `path` (from the root, "corbel/device/cpu/x.h") lies behind."""
    return next((f"corbel/{door}" for door in table.private if path.startswith(f"corbel/{door}/")), None)


def judge(table: Table, path: str, target: str) -> str | None:
    """Why the file `path` may not include the file `target`, both from the root; None when it may."""
    if os.path.dirname(path) == os.path.dirname(target):
        return None
    door = private_folder(table, target)
    if door is not None and private_folder(table, path) != door:
        return f"{door} is private; programs get devices from corbel/device/device_list.h"
    parts, root = target.split("/"), path.split("/")[0]
    if parts[0] in table.outside:
        same = path.split("/")[:2] == parts[:2]
        return None if same else f"{parts[0]}/{parts[1]} is a model's own room; nobody else sees it"
    if root in table.roof:
        return None
    if root in table.outside and path.endswith("_test.cpp"):
        return None  # a model's tests verify it: they see the whole library
    if parts[0] != "corbel":
        return f"{root} may not include from {parts[0]}/" if parts[0] in table.roof else None
    if len(parts) == 2:
        return "the interface stands on top of all floors; no floor may include it"

    room = parts[1]
    if room not in table.floors:
        return f"corbel/{room} is no room of layers.txt"
    return judge_floor(table, path, room)


def judge_floor(table: Table, path: str, room: str) -> str | None:
    """Why `path` may not see `room`, by the numbers of the floors alone."""
    floor, words = table.floors[room], path.split("/")
    if words[0] in table.outside:
        limit = table.outside[words[0]]
        return None if floor <= limit else f"{words[0]} see floors 0 to {limit}, and {room} is floor {floor}"
    if len(words) == 2:
        limit = table.interface.get(words[0], -1)
        return None if floor <= limit else f"{words[0]}/ sees floors 0 to {limit}, and {room} is floor {floor}"
    own = words[1]
    if own == room:
        return None
    if own not in table.floors:
        return f"corbel/{own} is no room of layers.txt"
    if floor < table.floors[own] or room in table.siblings[own]:
        return None
    if floor == table.floors[own]:
        return f"{own} and {room} are rooms on one floor ({floor}) and do not see each other"
    return f"{own} is floor {table.floors[own]} and {room} is floor {floor}; a file sees lower floors only"


def resolve(root: Path, path: str, included: str) -> str | None:
    """The included file from the root, or None when it is not one of ours."""
    if included.split("/")[0] in ("corbel", "models"):
        return included
    beside = os.path.normpath(os.path.join(os.path.dirname(path), included))
    return beside if not beside.startswith("..") and (root / beside).is_file() else None


def check_file(table: Table, root: Path, path: str) -> list[Violation]:
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    found = []
    for match in INCLUDE.finditer(text):
        target = resolve(root, path, match.group(1))
        reason = judge(table, path, target) if target else None
        if reason:
            found.append(Violation(path, text.count("\n", 0, match.start()) + 1, match.group(1), reason))
    return found


def source_files(root: Path, table: Table) -> list[str]:
    files = []
    for top in sorted({"corbel", *table.outside, *table.roof}):
        for folder, subfolders, names in os.walk(root / top):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            relative = os.path.relpath(folder, root)
            files += [f"{relative}/{name}" for name in sorted(names) if name.endswith(SOURCES)]
    return files


def check(root: Path) -> list[Violation]:
    table = read_table(root / "layers.txt")
    return [violation for path in source_files(root, table) for violation in check_file(table, root, path)]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    try:
        violations = check(root)
    except (TableError, OSError) as error:
        print(f"tools/check_layers.py: {error}", file=sys.stderr)
        return 2
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
