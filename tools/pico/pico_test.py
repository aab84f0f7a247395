"""Tests of corpus and tokenizer; stdlib only: python3 -m unittest discover -s tools/pico -p '*_test.py'."""

from __future__ import annotations

import json
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import corpus  # noqa: E402
import grade  # noqa: E402
import tokenizer  # noqa: E402
from prng import Prng  # noqa: E402

MODEL = HERE.parent.parent / "share" / "pico"


def write_corpus(count: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "corpus.jsonl"
        corpus.write_corpus(path, count, seed=1)
        return path.read_bytes()


class CorpusTest(unittest.TestCase):
    def test_the_generator_gives_the_published_numbers_of_splitmix64(self) -> None:
        prng = Prng(1234567)
        self.assertEqual([prng.next() for _ in range(3)], [6457827717110365317, 3203168211198807973, 9817491932198370423])

    def test_two_runs_write_the_same_bytes(self) -> None:
        self.assertEqual(write_corpus(500), write_corpus(500))

    def test_held_out_questions_are_those_that_the_generator_makes(self) -> None:
        committed = (HERE / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
        self.assertEqual([json.loads(line) for line in committed], corpus.make_held_out(1))
        self.assertGreaterEqual(len(committed), 200)

    def test_no_held_out_wording_is_a_training_wording(self) -> None:
        words = corpus.Library().wordings
        training = {corpus.normalized(text) for name, lines in words.items() if "held" not in name for text in lines}
        held = {corpus.normalized(text) for name, lines in words.items() if "held" in name for text in lines}
        self.assertEqual(training & held, set())

    def test_no_held_out_text_is_in_the_corpus(self) -> None:
        held = corpus.held_texts()
        self.assertGreaterEqual(len(held), 260)
        for line in write_corpus(20000).decode("utf-8").splitlines():
            for role, text in json.loads(line)["messages"]:
                self.assertFalse(role == "user" and corpus.normalized(text) in held, text)


class TokenizerTest(unittest.TestCase):
    def test_the_pattern_for_ascii_splits_like_the_rule_by_hand(self) -> None:
        prng = Prng(7)
        for _ in range(3000):
            text = "".join(prng.pick("ab Z09'.,sS\n\r\t_lL  tT(") for _ in range(prng.below(14)))
            words, at = [], 0
            while at < len(text):
                end = tokenizer._word_end(text, at)
                words.append(text[at:end])
                at = end
            self.assertEqual(tokenizer.split_words(text), words, repr(text))

    def test_training_merges_the_most_frequent_pair_and_breaks_ties_by_code_points(self) -> None:
        self.assertEqual(tokenizer.train({"abab": 2, "cd": 4, "ef": 1}, 3), [("a", "b"), ("c", "d"), ("ab", "ab")])

    @unittest.skipUnless((MODEL / "tokenizer.json").exists(), "share/pico/tokenizer.json is absent")
    def test_ids_turn_back_into_the_text(self) -> None:
        ours = tokenizer.Tokenizer(MODEL / "tokenizer.json")
        names = {number: token for token, number in ours.vocab.items()}
        byte_of = {letter: byte for byte, letter in enumerate(tokenizer.LETTERS)}
        for text in ("What is a KV cache?", "x  = 1\n\n\ty", "Gr\u00fc\u00dfe, \u4f60\u597d, \u043f\u0440, \U0001f600", "I'm 123456 old"):
            letters = "".join(names[i] for i in ours.encode(text))
            self.assertEqual(bytes(byte_of[letter] for letter in letters).decode("utf-8"), text)


class GradeTest(unittest.TestCase):
    def test_an_answer_without_a_key_is_a_fault(self) -> None:
        row = {"group": "numerics", "text": "?", "must": [["key", "keys"], ["value"]]}
        self.assertEqual(grade.faults(row, "It keeps keys and values.", False), [])
        self.assertEqual(grade.faults(row, "It keeps keys.", False), ["lacks value"])

    def test_an_opener_needs_a_sentence_and_outside_the_notice(self) -> None:
        inside, outside = {"group": "inside"}, {"group": "outside"}
        self.assertEqual(grade.faults(inside, "Hello, how are you?", True), [])
        self.assertTrue(grade.faults(inside, "Hello there my", True))
        self.assertTrue(grade.faults(inside, "a b c d a b c d a b c d.", True))
        self.assertTrue(grade.faults(outside, "Paris is the capital.", True))


if __name__ == "__main__":
    unittest.main()
