"""The checks of `make lint`, one function each. A check gets a Tree and returns its findings."""
from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CODE = (".h", ".cpp", ".cc", ".c", ".cu")


@dataclass
class Finding:
    where: str  # "path:line", or what the finding is about
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {'warning: ' if self.warning else ''}{self.text}"


@dataclass
class Tree:
    root: Path
    build: Path
    all_files: bool = False  # clang-tidy on everything, not only on what changed
    jobs: int = 2

    @cached_property
    def files(self) -> list[str]:
        """Every file of the tree that git would keep, from the root; without those deleted just now."""
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=self.root, check=True,
                                capture_output=True, text=True).stdout
        return sorted(path for path in set(listed.split("\0")) if path and (self.root / path).is_file())

    @cached_property
    def code(self) -> list[str]:
        return [path for path in self.files if path.endswith(CODE)]

    def text(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8", errors="surrogateescape")


_SKIPPED = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """C++ with comments blanked and strings kept; every line and column stays where it was."""
    return _SKIPPED.sub(lambda match: _blank(match[0]) if match[0][:2] in ("//", "/*") else match[0], text)


def without_strings(text: str) -> str:
    """C++ with comments, strings and characters blanked. Includes keep their path."""
    def blank(match: re.Match) -> str:
        line = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        return match[0] if line.lstrip().startswith("#") and "include" in line else _blank(match[0])
    return _SKIPPED.sub(blank, text)


def find_lines(path: str, text: str, pattern: re.Pattern, message: str) -> list[Finding]:
    """One finding per match; {0} in the message is what matched."""
    return [Finding(f"{path}:{text.count(chr(10), 0, match.start()) + 1}", message.format(match[0].strip()))
            for match in pattern.finditer(text)]
