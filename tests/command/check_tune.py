#!/usr/bin/env python3
"""corbel tune, and what other commands make of its file. usage: check_tune.py CORBEL SOURCE_FOLDER"""

import json
import pathlib
import sys
import tempfile
import unittest

from runner import HAS_PICO, SANITIZED, run

NAMES = {"unit_bytes", "direct_tiles", "block_rows"}


class Tune(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.cache = pathlib.Path(holder.name)

    def tuned(self, *words, threads="2"):
        return run(*words, "--threads", threads, environment={"XDG_CACHE_HOME": str(self.cache)}, timeout=120)

    def answer(self):
        return self.tuned("run", "--quant", "w4", "--temperature", "0", "--max-tokens", "12", "What is a KV cache?")

    def file_of(self, threads="2"):
        code, out, err = self.tuned("tune", "--json", threads=threads)
        self.assertEqual(code, 0, err)
        return pathlib.Path(json.loads(out)["file"])

    @unittest.skipIf(SANITIZED, "timings under a sanitizer say nothing, and take minutes")
    def test_it_keeps_a_value_that_it_tried_for_every_name_and_forgets_them_again(self):
        code, out, err = self.tuned("tune", "--json")
        self.assertEqual(code, 0, err)
        report = json.loads(out)
        self.assertEqual(set(report["tuning"]), NAMES)
        for name, value in report["tuning"].items():
            self.assertIn(value, [trial["value"] for trial in report["trials"] if trial["name"] == name])
            self.assertTrue(all(trial["time"] > 0 for trial in report["trials"]))
            self.assertIn(f"trying {name}", err)
        file = pathlib.Path(report["file"])
        self.assertEqual(file.parent.parent, self.cache / "corbel")
        self.assertEqual(json.loads(file.read_text()), {"version": 1, "tuning": report["tuning"]})
        code, out, _ = self.tuned("tune", "--forget")
        self.assertEqual((code, file.exists()), (0, False))
        self.assertIn(str(file), out)
        code, out, _ = self.tuned("tune", "--forget")
        self.assertEqual((code, out), (0, "there was no tuning\n"))

    @unittest.skipIf(SANITIZED, "timings under a sanitizer say nothing, and take minutes")
    @unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
    def test_answers_keep_their_bytes_whatever_the_file_says_and_a_broken_one_is_passed_over_by_name(self):
        _, expected, _ = self.answer()
        file = self.file_of()
        good = {"unit_bytes": 4096, "direct_tiles": 1, "block_rows": 132}
        cases = [(json.dumps({"version": 1, "tuning": good}), None),
                 ("{", str(file)), ("[]", "expected {"), (json.dumps({"version": 2, "tuning": good}), "expected {"),
                 (json.dumps({"version": 1, "tuning": {"direct_tiles": "4"}}), "direct_tiles is no whole number"),
                 (json.dumps({"version": 1, "tuning": {"direct_tiles": 900}}), "direct_tiles is 900; expected 1 to 8"),
                 (json.dumps({"version": 1, "tuning": {"colour": 1}}), "\"colour\"")]
        for text, complaint in cases:
            file.write_text(text)
            code, out, err = self.answer()
            self.assertEqual((code, out), (0, expected), err)
            if complaint is None:
                self.assertNotIn("tuning", err)
            else:
                self.assertIn("tuning is passed over", err)
                self.assertIn(complaint, err)

    def test_a_folder_that_cannot_be_written_fails_by_name(self):
        (self.cache / "corbel").write_text("a file")
        code, _, err = run("tune", environment={"XDG_CACHE_HOME": str(self.cache)}, timeout=30)
        self.assertEqual(code, 1)
        self.assertIn(str(self.cache / "corbel"), err)
        self.assertEqual(run("tune", "--threads", "0")[0], 2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
