#!/usr/bin/env python3
"""corbel run --receipt, --state and corbel replay. usage: check_receipts.py CORBEL SOURCE_FOLDER"""

import json
import pathlib
import shutil
import sys
import tempfile
import unittest

from runner import HAS_PICO, PICO, run

SYSTEM = "You answer in one sentence. " + "".join(f"Rule {i}: be exact and kind. " for i in range(40))


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Kept(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.receipt = self.folder / "answer.json"
        self.state = self.folder / "talk.state"

    def answer(self, *words):
        code, out, err = run("run", "--max-tokens", "24", *words)
        self.assertEqual(code, 0, err)
        return out

    def figures(self, *words):
        return json.loads(self.answer("--json", *words))


class Receipts(Kept):
    def test_a_receipt_gives_the_same_bytes_on_other_threads_and_says_so(self):
        out = self.answer("Tell me a story", "--temperature", "1.5", "--receipt", str(self.receipt), "--kv-cache", "int8")
        told = json.loads(self.receipt.read_text())
        self.assertEqual(told["answer"]["text"], out.rstrip("\n"))
        self.assertEqual(told["run"]["kv_cache"], "int8")
        code, out, err = run("replay", str(self.receipt), "--threads", "1")
        self.assertEqual(code, 0, err)
        self.assertIn(f"same bytes: {len(told['answer']['ids'])} tokens", out)

    def test_another_seed_or_answer_is_told_with_its_first_token(self):
        self.answer("Tell me a story", "--temperature", "3", "--seed", "5", "--receipt", str(self.receipt))
        told = json.loads(self.receipt.read_text())
        told["sampling"]["seed"] = 6
        self.receipt.write_text(json.dumps(told, indent=2))
        code, out, _ = run("replay", str(self.receipt))
        self.assertEqual(code, 1)
        self.assertRegex(out, r"differs: token \d+ is \d+ \(.*\), the receipt has \d+")

    def test_another_model_or_profile_is_refused_with_both_values(self):
        self.answer("Hello", "--receipt", str(self.receipt))
        told = json.loads(self.receipt.read_text())
        other = self.folder / "other"
        shutil.copytree(PICO, other)
        self.assertEqual(run("replay", str(self.receipt), str(other))[0], 0)
        data = bytearray((other / "model.safetensors").read_bytes())
        data[-4096:] = bytes(x ^ 1 for x in data[-4096:])  # what training does to a tensor; the hash sees samples
        (other / "model.safetensors").write_bytes(data)
        code, out, err = run("replay", str(self.receipt), str(other))
        self.assertEqual((code, out), (1, ""))
        self.assertIn(told["run"]["model_hash"], err)
        self.assertRegex(err, r"here it is [0-9a-f]{32}")
        told["run"]["profile"] = "cuda/sm_90"
        self.receipt.write_text(json.dumps(told))
        code, out, err = run("replay", str(self.receipt))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("the numerics profile is cuda/sm_90, here it is cpu/", err)
        self.assertEqual(run("replay", str(self.receipt), "--any-profile")[0], 0)

    def test_a_file_of_receipts_is_replayed_line_by_line(self):
        texts = []
        for i, cache in enumerate(("bf16", "f32", "bf16")):
            self.answer(f"Question {i}", "--kv-cache", cache, "--receipt", str(self.receipt))
            texts.append(self.receipt.read_text())
        file = self.folder / "all.jsonl"
        file.write_text("".join(texts))
        code, out, err = run("replay", str(file))
        self.assertEqual((code, out.count("same bytes")), (0, 3), err)
        file.write_text(texts[0] + texts[1].replace('"max_tokens":24', '"max_tokens":3') + texts[2])
        code, out, _ = run("replay", str(file))
        self.assertEqual((code, out.count("same bytes"), out.count("line 2: differs")), (1, 2, 1))

    def test_what_is_no_receipt_is_refused(self):
        self.answer("Hello", "--receipt", str(self.receipt))
        good = self.receipt.read_text()
        for text, word in (("", "no receipt"), ("{}", "format"), (good.replace("receipt.v1", "receipt.v9"), "v9"),
                           (good.replace('"top_k"', '"top_kk"'), "sampling.top_kk"), (good[:200], "line 1")):
            self.receipt.write_text(text)
            code, out, err = run("replay", str(self.receipt))
            self.assertEqual((code, out), (1, ""), text)
            self.assertIn(word, err)
        self.assertEqual(run("replay")[0], 2)
        self.assertEqual(run("replay", "a", "b", "c")[0], 2)
        self.assertEqual(run("replay", str(self.folder / "none"))[0], 1)
        self.assertEqual(run("run", "Hello", "--receipt", str(self.folder / "no/where"))[0], 1)


class States(Kept):
    def test_the_second_run_prefills_only_what_is_new_and_answers_the_same(self):
        words = ["--system", SYSTEM, "--state", str(self.state)]
        first = self.figures(*words, "What is a cache?")
        second = self.figures(*words, "What is a page?")
        plain = self.figures("--system", SYSTEM, "What is a page?")
        self.assertEqual(first["figures"]["cached_tokens"], 0)
        self.assertEqual(second["text"], plain["text"])
        self.assertEqual(second["receipt"]["ids"], plain["receipt"]["ids"])
        self.assertLess(second["figures"]["prefilled_tokens"], 20)
        self.assertGreater(second["figures"]["cached_tokens"], 200)
        self.assertGreater(plain["figures"]["prefilled_tokens"], 200)

    def test_the_same_question_again_gives_the_same_file(self):
        self.answer("Hello", "--state", str(self.state))
        before = self.state.read_bytes()
        self.answer("Hello", "--state", str(self.state), "--threads", "1")
        self.assertEqual(self.state.read_bytes(), before)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["talk.state"])

    def test_a_state_of_another_cache_or_a_damaged_one_is_refused_and_stays(self):
        self.answer("Hello", "--state", str(self.state))
        before = self.state.read_bytes()
        code, out, err = run("run", "Hello", "--state", str(self.state), "--kv-cache", "f32")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("the cache is bf16, here it is f32", err)
        self.assertEqual(self.state.read_bytes(), before)
        self.state.write_bytes(before[:-1])
        code, _, err = run("run", "Hello", "--state", str(self.state))
        self.assertEqual(code, 1)
        self.assertIn("cut short", err)
        self.state.write_text("something else")
        self.assertEqual(run("run", "Hello", "--state", str(self.state))[0], 1)
        self.assertEqual(self.state.read_text(), "something else")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
