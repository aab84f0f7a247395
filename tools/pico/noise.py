"""What people do to a question: politeness, missing capitals and signs, typing errors."""

from __future__ import annotations

from prng import Prng


def normalized(text: str) -> str:
    """Lower case, letters and digits only, single spaces; the text itself where nothing would be left."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return " ".join(words) or text.strip()


def typo(text: str, prng: Prng) -> str:
    """One wrong letter in one longer word: swapped, lost or doubled."""
    spots = [i for i in range(1, len(text) - 2) if text[i - 1].isalpha() and text[i].isalpha() and text[i + 1].isalpha()]
    if not spots:
        return text
    at = prng.pick(spots)
    kind = prng.below(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    return text[: at + 1] + text[at:]


def letters(text: str, prng: Prng) -> str:
    """Changes case, end and spelling, never the words."""
    roll = prng.below(100)
    if roll < 35:
        text = text[0].upper() + text[1:]
    elif roll < 55:
        text = text.lower()
    elif roll < 57:
        text = text.upper()
    if text[-1] in "?." and prng.percent(30):
        text = text[:-1] or text
    elif text[-1].isalnum() and prng.percent(10):
        text += prng.pick(("?", ".", " ?", "??", "...", "!"))
    if prng.percent(8):
        text = typo(text, prng)
    return text


def dress(question: str, wordings: dict[str, list[str]], prng: Prng) -> str:
    """The question with a prefix, a suffix, both, or mostly as it is; then letters()."""
    roll = prng.below(100)
    if roll < 20:
        question = prng.pick(wordings["prefix"]) + " " + question
    elif roll < 32:
        end = question[-1] if question[-1] in "?." else ""
        suffix = prng.pick(wordings["suffix"])
        if suffix[0].isupper() or not end:
            question += (" " if suffix[0] != "," else "") + suffix
        else:
            question = question[:-1] + (" " if suffix[0] != "," else "") + suffix + end
    return letters(question, prng)
