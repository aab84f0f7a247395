#!/usr/bin/env python3
"""corbel bench: which rows flags ask for, and what is refused. usage: check_bench.py CORBEL SOURCE_FOLDER"""

import json
import sys
import unittest

from runner import HAS_PICO, run


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Bench(unittest.TestCase):
    def rows(self, *flags):
        code, out, err = run("bench", "--repeat", "1", "--json", *flags, timeout=120)
        self.assertEqual(code, 0, err)
        return [(row["name"], row["tokens"], row["batch"]) for row in json.loads(out)["results"]]

    def test_a_row_for_every_prompt_and_batch_that_is_asked_for(self):
        self.assertEqual(self.rows("--prefill", "8"), [("prefill", 8, 1)])
        self.assertEqual(self.rows("--batch", "2"), [("prefill", 512, 1), ("decode", 64, 2)])
        self.assertEqual(self.rows("--prefill", "8", "--batch", "1", "--batch", "3"),
                         [("prefill", 8, 1), ("decode", 64, 1), ("decode", 64, 3)])
        self.assertEqual(self.rows("--prefill", "8", "--decode", "4"), [("prefill", 8, 1), ("decode", 4, 1)])

    def test_every_row_has_a_rate_and_says_what_bounds_it(self):
        code, out, err = run("bench", "--prefill", "16", "--batch", "1", "--decode", "4", "--json", timeout=120)
        self.assertEqual(code, 0, err)
        for row in json.loads(out)["results"]:
            self.assertGreater(row["tok_per_s"], 0)
            self.assertIn(row["bound"], ("arithmetic", "memory"))

    def test_what_cannot_be_measured_is_refused(self):
        for flags in (("--batch", "0"), ("--prefill", "x"), ("--decode", "-1"), ("--repeat", "0"),
                      ("--dummy-weights", "--config", "nowhere")):
            code, out, err = run("bench", *flags)
            self.assertIn(code, (1, 2), flags)
            self.assertEqual(out, "")
            self.assertIn("nowhere" if "nowhere" in flags else flags[0].lstrip("-"), err)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
