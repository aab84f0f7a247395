#!/usr/bin/env python3
"""corbel batch. usage: check_batch.py CORBEL SOURCE_FOLDER"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from runner import CORBEL, HAS_PICO, run


def chat(text, **fields):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 12} | fields


def write(path, bodies):
    path.write_text("".join(json.dumps({"custom_id": f"r{i}", "body": body}) + "\n" for i, body in enumerate(bodies)))
    return path


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Batch(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.out = self.folder / "out.jsonl"

    def answers(self):
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def test_the_answers_do_not_depend_on_concurrency_or_threads(self):
        bodies = [chat(f"Tell me about the number {i * i}.", temperature=i % 3 * 0.5, max_tokens=3 + i % 20) for i in range(24)]
        file = write(self.folder / "in.jsonl", bodies)
        seen = set()
        for concurrency, threads in ((1, 1), (16, 2), (32, 1)):
            code, out, err = run("batch", str(file), "-o", str(self.out), "--concurrency", str(concurrency), "--threads", str(threads))
            self.assertEqual((code, out), (0, ""), err)
            self.assertIn("24 requests (0 failed)", err)
            seen.add(self.out.read_bytes())
        self.assertEqual(len(seen), 1)
        self.assertEqual([answer["custom_id"] for answer in self.answers()], [f"r{i}" for i in range(24)])
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["in.jsonl", "out.jsonl"])

    def test_an_answer_is_what_run_says_to_the_same_prompt(self):
        file = write(self.folder / "in.jsonl", [chat("What is a KV cache?", max_tokens=30)])
        self.assertEqual(run("batch", str(file), "-o", str(self.out))[0], 0)
        told = json.loads(run("run", "--json", "--max-tokens", "30", "What is a KV cache?")[1])
        body = self.answers()[0]["response"]["body"]
        self.assertEqual(body["choices"][0]["message"]["content"], told["text"])
        self.assertEqual(body["choices"][0]["finish_reason"], told["finish_reason"])
        self.assertEqual(body["usage"]["prompt_tokens"], told["figures"]["prompt_tokens"])
        self.assertEqual(body["usage"]["completion_tokens"], told["figures"]["generated_tokens"])

    def test_what_a_request_asks_in_vain_is_named_in_its_answer_and_the_others_go_on(self):
        bodies = [chat("a"), chat("a", n=2), chat("a", bogus=1), {"max_tokens": 3}, chat("a", temperature=-1), chat("a", max_tokens=0),
                  chat("a", top_p="x"), chat("a", max_tokens=10**6), {"messages": "text"}, chat("b", n=1, stream=False, user="me")]
        file = write(self.folder / "in.jsonl", bodies)
        code, _, err = run("batch", str(file), "-o", str(self.out))
        self.assertEqual(code, 0, err)
        self.assertIn("(8 failed)", err)
        codes = [answer["response"]["status_code"] for answer in self.answers()]
        self.assertEqual(codes, [200] + [400] * 8 + [200])
        for answer, word in zip(self.answers()[1:9], ("\"n\"", "bogus", "messages", "temperature", "max_tokens", "top_p", "context", "messages")):
            self.assertIn(word, answer["response"]["body"]["error"]["message"])

    def test_a_static_profile_keeps_its_limit_on_prompts(self):
        model = self.folder / "static.corbel"
        self.assertEqual(run("compile", "pico", "-o", str(model), "--seq_length", "256", "--max_input_length", "64", "--method", "fast")[0], 0)
        file = write(self.folder / "in.jsonl", [chat("short"), chat("word " * 80)])
        code, _, err = run("batch", str(model), str(file), "-o", str(self.out))
        self.assertEqual(code, 0, err)
        short, long = (answer["response"] for answer in self.answers())
        self.assertEqual((short["status_code"], long["status_code"]), (200, 400))
        self.assertIn("at most 64", long["body"]["error"]["message"])

    def test_a_killed_run_goes_on_where_it_stopped_and_another_run_does_not(self):
        file = write(self.folder / "in.jsonl", [chat(f"Count to {i}.", max_tokens=40) for i in range(60)])
        self.assertEqual(run("batch", str(file), "-o", str(self.out))[0], 0)
        whole = self.out.read_bytes()
        self.out.unlink()
        part = self.folder / "out.jsonl.part"
        process = subprocess.Popen([CORBEL, "batch", str(file), "-o", str(self.out), "--concurrency", "2"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < 6):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertTrue(part.exists(), "it was through before it could be killed")
        first_line = part.read_bytes().splitlines(keepends=True)[0]
        part.write_bytes(part.read_bytes() + b'{"half a li')
        code, _, err = run("batch", str(file), "-o", str(self.out))
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"went on after \d+ answers")
        self.assertEqual(self.out.read_bytes(), whole)
        head = whole.splitlines(keepends=True)[0]
        self.assertEqual(run("batch", str(file), "-o", str(self.out), "--kv-cache", "f32")[0], 0)
        part.write_bytes(first_line + head)
        self.assertNotIn("went on", run("batch", str(file), "-o", str(self.out), "--kv-cache", "f32")[2])
        part.write_bytes(first_line + head)
        self.assertIn("went on after 1 answers", run("batch", str(file), "-o", str(self.out))[2])
        part.write_bytes(b"corbel batch of another file\nanswer\n")
        self.assertNotIn("went on", run("batch", str(file), "-o", str(self.out))[2])
        self.assertEqual(self.out.read_bytes(), whole)

    def test_a_bad_file_is_refused_before_anything_runs(self):
        good = json.dumps({"custom_id": "a", "body": chat("x")})
        for text, word in ((good + "\n" + good, "line 2"), ("nonsense", "line 1"), (good + "\n[]", "line 2"), ("\n\n", "no requests"),
                           (json.dumps({"body": {}}), "custom_id"), (json.dumps({"custom_id": "a", "body": 3}), "body"),
                           (json.dumps({"custom_id": "a", "url": "/v1/files", "body": {}}), "/v1/files")):
            file = self.folder / "in.jsonl"
            file.write_text(text)
            code, out, err = run("batch", str(file), "-o", str(self.out))
            self.assertEqual((code, out), (1, ""), text)
            self.assertIn(word, err)
            self.assertFalse(self.out.exists())
        self.assertEqual(run("batch", str(self.folder / "none.jsonl"), "-o", str(self.out))[0], 1)
        file.write_text(good)
        for words in ([], [str(file)], [str(file), "-o", str(self.out), "--concurrency", "0"], ["a", "b", "c", "-o", "d"],
                      [str(file), "-o", str(self.out), "--context", "0"]):
            self.assertEqual(run("batch", *words)[0], 2, words)
        self.assertEqual(run("batch", str(file), "-o", str(self.folder / "no/where.jsonl"))[0], 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
