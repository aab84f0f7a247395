"""Reads the text files under data/: topics with their answers, and sections of wordings.

A topic file has entries of this form; order in the file is order in memory, nothing is sorted or hashed:
    = NAME; OTHER NAME; ...          what the topic is called in a question
    must: a|b; c                     an answer must contain (a or b) and c, letter case aside
    a: ANSWER                        one or more
    w: ANSWER                        answers preferred for "why" and "how" questions
A section file has `[name] item; item` lines, or `[name]` followed by `- item` lines.
"""

from __future__ import annotations

import dataclasses
import pathlib

DATA = pathlib.Path(__file__).resolve().parent / "data"


@dataclasses.dataclass
class Topic:
    group: str
    names: list[str]
    must: list[list[str]] = dataclasses.field(default_factory=list)
    answers: list[str] = dataclasses.field(default_factory=list)
    reasons: list[str] = dataclasses.field(default_factory=list)


def _split(text: str, sign: str) -> list[str]:
    return [part.strip() for part in text.split(sign) if part.strip()]


def read_topics(name: str, group: str) -> list[Topic]:
    """Topics of data/NAME; raises ValueError naming file and line on anything unexpected."""
    topics: list[Topic] = []
    for number, line in enumerate((DATA / name).read_text(encoding="utf-8").splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if not line or mark == "#":
            continue
        if mark == "=":
            topics.append(Topic(group, _split(rest, ";")))
        elif mark == "must:":
            topics[-1].must = [_split(any_of.lower(), "|") for any_of in _split(rest, ";")]
        elif mark == "a:":
            topics[-1].answers.append(rest)
        elif mark == "w:":
            topics[-1].reasons.append(rest)
        else:
            raise ValueError(f"{name}:{number}: expected '=', 'must:', 'a:' or 'w:', found {mark!r}")
    for topic in topics:
        for answer in topic.answers + topic.reasons:
            missing = missing_keys(answer, topic.must)
            if missing:
                raise ValueError(f"{name}: an answer of {topic.names[0]!r} lacks {missing}: {answer}")
    return topics


def missing_keys(answer: str, must: list[list[str]]) -> list[list[str]]:
    """The groups of which the answer contains no member."""
    text = answer.lower()
    return [any_of for any_of in must if not any(key in text for key in any_of)]


def read_sections(name: str) -> dict[str, list[str]]:
    """Sections of data/NAME by name."""
    sections: dict[str, list[str]] = {}
    current = ""
    for number, line in enumerate((DATA / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            current, _, rest = line[1:].partition("]")
            sections[current] = _split(rest, ";")
        elif line.startswith("- "):
            sections[current].append(line[2:])
        else:
            raise ValueError(f"{name}:{number}: expected '[section]' or '- item', found {line!r}")
    return sections
