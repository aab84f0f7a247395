"""Writes the training text of pico: conversations, one JSON object per line, the same bytes on every machine.

    python3 tools/pico/corpus.py --out corpus.jsonl [--conversations 60000] [--seed 1] [--mix first]
    python3 tools/pico/corpus.py --held-out          writes heldout.jsonl beside this file
    python3 tools/pico/corpus.py --check corpus.jsonl  no held-out question occurs in it

Each line is {"messages": [[role, text], ...]}. Stdlib only; all chance comes from prng.py.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import noise
import stories
from noise import normalized
from prng import Prng
from topics import Topic, read_sections, read_topics

HERE = pathlib.Path(__file__).resolve().parent
TOPIC_FILES = (
    ("concepts_inference.txt", "inference"),
    ("concepts_numerics.txt", "numerics"),
    ("concepts_models.txt", "models"),
    ("concepts_hardware.txt", "hardware"),
    ("corbel_terms.txt", "corbel"),
    ("commands.txt", "command"),
    ("howto.txt", "howto"),
    ("questions.txt", "question"),
    ("pairs.txt", "pair"),
)
# Of 100 turns, those below the numbers are: about a topic, outside of the domain, an opener; the rest are stories.
# Training begins with the first mix, which also makes the tokenizer; the second asks more outside of the domain.
MIXES = {"first": (68, 80, 93), "second": (62, 82, 95)}
Turn = tuple[str, str]


class Library:
    """All data files, read once."""

    def __init__(self, mix: str = "first") -> None:
        self.mix = MIXES[mix]
        self.topics = [topic for name, group in TOPIC_FILES for topic in read_topics(name, group)]
        self.nouns = [t for t in self.topics if t.group not in ("howto", "question", "pair")]
        self.opener_lines = [(topic, name) for topic in read_topics("openers.txt", "opener") for name in topic.names]
        self.outside = read_sections("outside.txt")
        self.wordings = read_sections("wordings.txt")

    def train_names(self, topic: Topic) -> list[str]:
        """The last phrasing of a whole question is held out."""
        return topic.names[:-1] if topic.group == "question" else topic.names


def ask(topic: Topic, name: str, library: Library, prng: Prng) -> tuple[str, bool]:
    """A question about the topic in a training wording, and whether it asks why or how."""
    words = library.wordings
    if topic.group == "question":
        return name + ("?" if prng.percent(60) else ""), False
    if topic.group == "pair":
        first, second = topic.names if prng.percent(50) else topic.names[::-1]
        return prng.pick(words["pair"]).format(x=first, y=second), False
    if topic.group == "howto":
        return prng.pick(words["howto"]).format(x=name), False
    if topic.group == "command" and prng.percent(70):
        return prng.pick(words["command"]).format(x=name), False
    if prng.percent(25):
        return prng.pick(words["why"]).format(x=name), True
    return prng.pick(words["noun"]).format(x=name), False


def answer(topic: Topic, why: bool, prng: Prng) -> str:
    """The first answer is the usual one, so that greedy decoding has a clear favourite."""
    if why and topic.reasons:
        return prng.pick(topic.reasons)
    return topic.answers[0] if prng.percent(65) else prng.pick(topic.answers)


def inside(library: Library, prng: Prng) -> tuple[Topic, Turn]:
    topic = prng.pick(library.topics)
    question, why = ask(topic, prng.pick(library.train_names(topic)), library, prng)
    return topic, (noise.dress(question, library.wordings, prng), answer(topic, why, prng))


def fill(wording: str, outside: dict[str, list[str]], prng: Prng) -> str:
    """Fills {slots}; the same slot twice gets two draws."""
    parts: list[str] = []
    rest = wording
    while "{" in rest:
        head, _, tail = rest.partition("{")
        slot, _, rest = tail.partition("}")
        if slot == "number":
            filled = str(prng.below(prng.pick((10, 100, 1000))))
        elif slot == "year":
            filled = str(1800 + prng.below(226))
        else:
            filled = prng.pick(outside[slot])
        parts += [head, filled]
    return "".join(parts) + rest


def outside(library: Library, prng: Prng) -> Turn:
    """A question pico cannot answer; part of them in the very wordings of those it can."""
    roll = prng.below(100)
    data, words = library.outside, library.wordings
    if roll < 25:
        question = prng.pick(words["noun"] + words["why"]).format(x=prng.pick(data["thing"] + data["person"]))
    elif roll < 35:
        question = prng.pick(words["howto"]).format(x=prng.pick(data["task"]))
    else:
        question = fill(prng.pick(data["ask"]), data, prng)
    return noise.dress(question, words, prng), prng.pick(data["answer"])


def opener(library: Library, prng: Prng) -> Turn:
    topic, text = prng.pick(library.opener_lines)
    if text.isascii() and prng.percent(12):
        text = prng.pick(("hi, ", "hello, ", "hey, ", "hi! ", "pico, ", "ok, ", "so, ", "well, ")) + text
    text = noise.letters(text, prng)
    if prng.percent(25) and text[-1].isalnum():
        text += prng.pick(("!", ".", "?", " ?", "!!", "..."))
    return text, prng.pick(topic.answers)


def story(library: Library, prng: Prng) -> Turn:
    if prng.percent(20):
        return noise.dress(prng.pick(library.wordings["story any"]), library.wordings, prng), stories.make_story(prng).text
    tale = stories.make_story(prng, prng.pick(stories.HEROES))
    wish = prng.pick(library.wordings["story"]).format(x=stories.with_article(tale.hero, prng))
    return noise.dress(wish, library.wordings, prng), tale.text


def follow(topic: Topic, said: str, library: Library, prng: Prng) -> tuple[Topic, Turn]:
    """A second turn: more of the same topic, or the step to another one."""
    others = [text for text in topic.answers + topic.reasons if text != said]
    if others and prng.percent(50):
        return topic, (noise.letters(prng.pick(library.wordings["more"]), prng), prng.pick(others))
    if prng.percent(50):
        other = prng.pick(library.nouns)
        wording = prng.pick(library.wordings["about"]).format(x=prng.pick(other.names))
        return other, (noise.letters(wording, prng), answer(other, False, prng))
    return inside(library, prng)


def single(library: Library, prng: Prng) -> tuple[Topic | None, Turn]:
    """One turn of any kind; the topic is None where there is nothing to follow up."""
    inside_below, outside_below, opener_below = library.mix
    roll = prng.below(100)
    if roll < inside_below:
        return inside(library, prng)
    if roll < outside_below:
        return None, outside(library, prng)
    if roll < opener_below:
        return None, opener(library, prng)
    return None, story(library, prng)


def conversation(library: Library, prng: Prng) -> list[Turn]:
    """Mostly a single turn, often up to six, sometimes up to fifteen, so that later positions are trained too."""
    if prng.percent(82):
        return [single(library, prng)[1]]
    turns: list[Turn] = [opener(library, prng)] if prng.percent(25) else []
    topic: Topic | None
    topic, turn = inside(library, prng)
    turns.append(turn)
    for _ in range(6 + prng.below(9) if prng.percent(15) else 1 + prng.below(4)):
        if topic is not None and prng.percent(70):
            topic, turn = follow(topic, turn[1], library, prng)
        else:
            topic, turn = single(library, prng)
        turns.append(turn)
    return turns


def held_texts() -> set[str]:
    """Normalized texts of both committed grading files, as far as they exist."""
    texts: set[str] = set()
    for name in ("heldout.jsonl", "openers.jsonl"):
        if (HERE / name).exists():
            lines = (HERE / name).read_text(encoding="utf-8").splitlines()
            texts |= {normalized(json.loads(line)["text"]) for line in lines}
    return texts


def write_corpus(path: pathlib.Path, count: int, seed: int, mix: str = "first") -> None:
    library, prng, forbidden = Library(mix), Prng(seed), held_texts()
    with path.open("w", encoding="utf-8", newline="\n") as out:
        written = 0
        while written < count:
            turns = conversation(library, prng)
            messages = [["system", prng.pick(library.wordings["system"])]] if prng.percent(8) else []
            for question, reply in turns:
                messages += [["user", question], ["assistant", reply]]
            if any(normalized(question) in forbidden for question, _ in turns):
                continue
            out.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
            written += 1


def make_held_out(seed: int) -> list[dict[str, object]]:
    """At least one question per topic, in wordings that no training question uses."""
    library, prng = Library(), Prng(seed)
    words, rows = library.wordings, []
    for number, topic in enumerate(library.topics):
        name = prng.pick(topic.names)
        if topic.group == "question":
            text = topic.names[-1] + "?"
        elif topic.group == "pair":
            text = words["pair held"][number % len(words["pair held"])].format(x=topic.names[0], y=topic.names[1])
        else:
            section = {"howto": "howto held", "command": "command held"}.get(topic.group, "noun held")
            text = words[section][number % len(words[section])].format(x=name)
        rows.append({"group": topic.group, "text": text[0].upper() + text[1:], "must": topic.must})
    for number in range(12):
        hero = stories.HEROES[number * 5]
        text = words["story held"][number % len(words["story held"])].format(x=("an " if hero[0] in "aeiou" else "a ") + hero)
        rows.append({"group": "story", "text": text, "must": [[hero], ["once"], ["."]]})
    return rows


def check(path: pathlib.Path) -> int:
    """Number of user messages of the corpus that are held-out texts."""
    forbidden, found = held_texts(), 0
    for line in path.open(encoding="utf-8"):
        for role, text in json.loads(line)["messages"]:
            if role == "user" and normalized(text) in forbidden:
                print(f"{path}: held-out text in the corpus: {text!r}")
                found += 1
    print(f"{path}: {found} of {len(forbidden)} held-out texts found; expected 0")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="write the corpus to this file")
    parser.add_argument("--conversations", type=int, default=60000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mix", choices=sorted(MIXES), default="first")
    parser.add_argument("--held-out", action="store_true", help="write heldout.jsonl")
    parser.add_argument("--check", type=pathlib.Path, metavar="CORPUS", help="exit 1 if a held-out text is in the corpus")
    options = parser.parse_args()
    if options.held_out:
        rows = make_held_out(options.seed)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (HERE / "heldout.jsonl").write_text("".join(lines), encoding="utf-8")
    if options.out:
        write_corpus(options.out, options.conversations, options.seed, options.mix)
    if options.check and check(options.check) > 0:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
