#!/usr/bin/env python3
"""corbel batch. usage: check_batch.py CORBEL SOURCE_FOLDER"""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from runner import CORBEL, HAS_PICO, PICO, run


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

    def test_a_trace_has_every_row_that_ran_in_steps_one_after_another(self):
        file = write(self.folder / "in.jsonl", [chat(f"What is {i}?", max_tokens=5) for i in range(6)])
        trace = self.folder / "steps.json"
        code, out, err = run("batch", str(file), "-o", str(self.out), "--concurrency", "3", "--no-drafts", "--trace", str(trace))
        self.assertEqual((code, out), (0, ""), err)
        events = json.loads(trace.read_text())
        steps = [event for event in events if event["ph"] == "X" and "args" in event]
        usages = [answer["response"]["body"]["usage"] for answer in self.answers()]
        # A token that ends an answer is chosen and not run: each answer has as many rows less one, but where it was told to stop.
        rows = sum(step["args"]["decode_rows"] for step in steps)
        self.assertEqual(rows, sum(usage["completion_tokens"] - 1 for usage in usages))
        self.assertTrue(all(step["args"]["decode_rows"] <= 3 for step in steps))
        for one, following in zip(steps, steps[1:]):
            self.assertLessEqual(one["ts"] + one["dur"], following["ts"] + 1)
        code, out, err = run("batch", str(file), "-o", str(self.folder / "other.jsonl"), "--trace", str(self.folder / "no" / "steps.json"))
        self.assertEqual((code, out), (1, ""), err)
        self.assertIn("steps.json", err)

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
        bodies = [chat("a"), chat("a", n=0), chat("a", bogus=1), {"max_tokens": 3}, chat("a", temperature=-1), chat("a", max_tokens=0),
                  chat("a", top_p="x"), chat("a", max_tokens=10**6), {"messages": "text"}, chat("b", n=1, stream=False, user="me")]
        file = write(self.folder / "in.jsonl", bodies)
        code, _, err = run("batch", str(file), "-o", str(self.out))
        self.assertEqual(code, 0, err)
        self.assertIn("(8 failed)", err)
        codes = [answer["response"]["status_code"] for answer in self.answers()]
        self.assertEqual(codes, [200] + [400] * 8 + [200])
        for answer, word in zip(self.answers()[1:9], ("\"n\"", "bogus", "messages", "temperature", "max_tokens", "top_p", "context", "messages")):
            self.assertIn(word, answer["response"]["body"]["error"]["message"])

    def body_of(self, answer):
        self.assertEqual(answer["response"]["status_code"], 200, answer)
        return answer["response"]["body"]

    def run_at(self, bodies, *flags):
        file = write(self.folder / "in.jsonl", bodies)
        code, _, err = run("batch", str(file), "-o", str(self.out), *flags, timeout=200)
        self.assertEqual(code, 0, err)
        return self.answers()

    def test_answers_by_schema_validate_at_any_concurrency(self):
        import jsonschema
        schemas = [
            {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
                                              "mail": {"type": "string", "format": "email", "maxLength": 30}},
             "required": ["name", "age"], "additionalProperties": False},
            {"type": "array", "items": {"enum": ["red", "green", 3, None]}, "minItems": 2, "maxItems": 5},
            {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"const": "none"}]},
            {"$defs": {"node": {"type": "object", "properties": {"value": {"type": "boolean"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                                "required": ["value", "next"], "additionalProperties": False}}, "$ref": "#/$defs/node"},
            {"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"},
        ]
        bodies = []
        for i in range(20):
            form = {"type": "json_schema", "json_schema": {"name": "it", "strict": i % 2 == 0, "schema": schemas[i % len(schemas)]}}
            bodies.append(chat(f"Give me number {i}.", response_format=form, max_tokens=400, temperature=i % 3 * 0.6, n=1 + i % 3, seed=i))
        seen = set()
        for flags in (("--concurrency", "1", "--threads", "1"), ("--concurrency", "16", "--threads", "2")):
            answers = self.run_at(bodies, *flags)
            seen.add(self.out.read_bytes())
        self.assertEqual(len(seen), 1)
        finished = 0
        for i, answer in enumerate(answers):
            body = self.body_of(answer)
            self.assertEqual([choice["index"] for choice in body["choices"]], list(range(1 + i % 3)))
            for choice in body["choices"]:
                if choice["finish_reason"] == "length":
                    continue
                finished += 1
                text = choice["message"]["content"]
                jsonschema.Draft202012Validator(schemas[i % len(schemas)]).validate(json.loads(text))
        self.assertGreater(finished, 25)

    def test_other_forms_of_structured_output(self):
        answers = self.run_at([chat("a", guided_choice=["yes", "no"]), chat("b", guided_regex="[ab]{3}c"), chat("c", structured_outputs={"json": {"type": "boolean"}}),
                               chat("d", response_format={"type": "json_object"}, max_tokens=300, temperature=1.0), chat("e", response_format={"type": "text"}),
                               chat("f", grammar='root ::= "<" word ">" # a tag\nword ::= [a-f]{2,4}'), chat("g", structured_outputs={"grammar": 'root ::= "x"+ root? "y"'}, max_tokens=9)])
        texts = [self.body_of(answer)["choices"][0]["message"]["content"] for answer in answers]
        self.assertIn(texts[0], ("yes", "no"))
        self.assertRegex(texts[1], "^[ab]{3}c$")
        self.assertIn(texts[2], ("true", "false"))
        self.assertTrue(texts[3].startswith("{"))
        self.assertRegex(texts[5], "^<[a-f]{2,4}>$")
        self.assertRegex(texts[6], "^x+y*$")

    def test_dry_breaks_what_repeats_and_the_bytes_stay_the_same_in_company(self):
        bodies = [chat("Say it again and again.", dry_multiplier=strength, max_tokens=80, repetition_penalty=0.7, ignore_eos=True, logprobs=True,
                       dry_sequence_breakers=[])
                  for strength in (0, 1, 4)]
        def tokens_of(*flags):
            answers = [self.body_of(answer) for answer in self.run_at(bodies, *flags)]
            return [[token["token"] for token in answer["choices"][0]["logprobs"]["content"]] for answer in answers]
        def longest_repeat(tokens):
            same = lambda i, j: next((n for n in range(i) if tokens[i - 1 - n] != tokens[j - 1 - n]), i)
            return max(same(i, j) for j in range(1, len(tokens) + 1) for i in range(j))
        plain, weak, strong = tokens_of("--concurrency", "1")
        self.assertEqual([plain, weak, strong], tokens_of("--concurrency", "4", "--threads", "2"))
        self.assertGreater(longest_repeat(plain), 20)
        self.assertLess(longest_repeat(strong), 12)

    def test_calls_that_are_demanded_come_with_valid_arguments(self):
        import jsonschema
        schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 10}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
                  "required": ["city"], "additionalProperties": False}
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}, {"type": "function", "function": {"name": "ping"}}]
        bodies = [chat("Weather?", tools=tools, tool_choice="required", max_tokens=300, temperature=0.7, seed=i, parallel_tool_calls=i % 2 == 0, n=2) for i in range(6)]
        bodies += [chat("Weather?", tools=tools, tool_choice={"type": "function", "function": {"name": "ping"}}, max_tokens=100),
                   chat("Weather?", tools=tools, max_tokens=5), chat("Weather?", tools=tools, tool_choice="none", max_tokens=5)]
        answers = self.run_at(bodies, "--concurrency", "5")
        calls = 0
        for i, answer in enumerate(answers[:7]):
            body = self.body_of(answer)
            self.assertTrue(any("tools" in text for text in body["warnings"]))  # the built-in template shows none
            for choice in body["choices"]:
                if choice["finish_reason"] == "length":
                    continue
                self.assertEqual(choice["finish_reason"], "tool_calls")
                message = choice["message"]
                self.assertIsNone(message["content"])
                self.assertEqual(len({call["id"] for call in message["tool_calls"]}), len(message["tool_calls"]))
                if i % 2 == 1 or i == 6:
                    self.assertEqual(len(message["tool_calls"]), 1)
                for call in message["tool_calls"]:
                    calls += 1
                    arguments = json.loads(call["function"]["arguments"])
                    if call["function"]["name"] == "ping":
                        self.assertEqual(arguments, {})
                    else:
                        jsonschema.validate(arguments, schema)
        self.assertGreater(calls, 6)
        self.assertEqual(self.body_of(answers[6])["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "ping")
        for answer in answers[7:]:
            self.assertIn(self.body_of(answer)["choices"][0]["finish_reason"], ("stop", "length"))

    def test_log_probabilities_stand_beside_each_token(self):
        answers = self.run_at([chat("What is a KV cache?", logprobs=True, top_logprobs=3, max_tokens=8)])
        choice = self.body_of(answers[0])["choices"][0]
        tokens = choice["logprobs"]["content"]
        self.assertEqual(bytes(byte for token in tokens for byte in token["bytes"]).decode(), choice["message"]["content"])
        for token in tokens:
            self.assertEqual(len(token["top_logprobs"]), 3)
            self.assertEqual(token["logprob"], token["top_logprobs"][0]["logprob"])  # greedy
            self.assertLessEqual(token["logprob"], 0)

    def test_refusals_name_the_path_of_the_field(self):
        cases = [({"top_logprobs": 21, "logprobs": True}, "top_logprobs"), ({"n": 129}, "n"), ({"stream": True}, "stream"),
                 ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
                 ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}]}, "tools[0].function.parameters"),
                 ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}}, "response_format.json_schema.schema"),
                 ({"logit_bias": {"1": 200}}, "logit_bias.1"), ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content")]
        answers = self.run_at([chat("a") | fields for fields, _ in cases])
        for (_, path), answer in zip(cases, answers):
            self.assertEqual(answer["response"]["status_code"], 400)
            error = answer["response"]["body"]["error"]
            self.assertEqual((error["param"], error["type"]), (path, "invalid_request_error"))
            self.assertTrue(error["message"].startswith(f'"{path}"'), error["message"])

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
        other = run("batch", str(file), "-o", str(self.out), "--kv-cache", "f32")[2]
        self.assertNotIn("went on", other)
        self.assertIn("starting over", other)
        part.write_bytes(first_line + head)
        self.assertIn("went on after 1 answers", run("batch", str(file), "-o", str(self.out))[2])
        part.write_bytes(b"corbel batch of another file\nanswer\n")
        self.assertNotIn("went on", run("batch", str(file), "-o", str(self.out))[2])
        self.assertEqual(self.out.read_bytes(), whole)

    def test_at_a_terminal_progress_has_a_rate_and_the_time_left(self):
        file = write(self.folder / "in.jsonl", [chat(f"Count to {i}.", max_tokens=60, ignore_eos=True) for i in range(60)])
        ours, theirs = pty.openpty()
        process = subprocess.Popen([CORBEL, "batch", str(file), "-o", str(self.out), "--concurrency", "4"], stdin=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # what Linux says when nobody holds the other end any more
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        self.assertEqual(process.wait(), 0)
        lines = re.findall(r"(\d+) of 60  [\d.]+ rows/s  (\d+) running(?:  ([^ ]+.*?) left)?", shown.decode())
        self.assertTrue(any(int(running) == 4 for _, running, _ in lines), shown)
        self.assertTrue(any(left for _, _, left in lines), shown)
        done = [int(count) for count, _, _ in lines]
        self.assertEqual(done, sorted(done))

    def test_answers_of_another_model_at_the_same_place_are_not_gone_on_with(self):
        model = self.folder / "model"
        shutil.copytree(PICO, model)
        file = write(self.folder / "in.jsonl", [chat(f"Count to {i}.", max_tokens=40) for i in range(24)])
        part = self.folder / "out.jsonl.part"
        process = subprocess.Popen([CORBEL, "batch", str(model), str(file), "-o", str(self.out)], stderr=subprocess.DEVNULL)
        while process.poll() is None and (not part.exists() or b"\n" not in part.read_bytes()):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertTrue(part.exists(), "it was through before it could be killed")
        part.write_bytes(part.read_bytes().splitlines(keepends=True)[0] + b"an answer of before\n")
        data = bytearray((model / "model.safetensors").read_bytes())
        data[-4096:] = bytes(x ^ 1 for x in data[-4096:])  # what training does: other values in the same shapes
        (model / "model.safetensors").write_bytes(data)
        code, _, err = run("batch", str(model), str(file), "-o", str(self.out))
        self.assertEqual(code, 0, err)
        self.assertIn("starting over", err)
        self.assertNotIn("an answer of before", self.out.read_text())

    def test_no_file_of_the_users_is_written_over(self):
        file = write(self.folder / "in.jsonl", [chat("x", max_tokens=1)])
        before = file.read_bytes()
        code, _, err = run("batch", str(file), "-o", str(self.folder / "." / "in.jsonl"))
        self.assertEqual(code, 1)
        self.assertIn("write over the requests", err)
        self.assertEqual(file.read_bytes(), before)
        part = self.folder / "out.jsonl.part"
        part.write_text("half a download\n")
        code, _, err = run("batch", str(file), "-o", str(self.out))
        self.assertEqual(code, 1)
        self.assertIn("move it away", err)
        self.assertEqual(part.read_text(), "half a download\n")
        self.assertEqual(run("batch", str(file), "-o", "-")[0], 2)

    def test_an_answer_names_its_model_and_a_prompt_counts_once(self):
        file = write(self.folder / "in.jsonl", [chat("What is a KV cache? " * 20, n=4, max_tokens=2), chat("x", max_tokens=1, model="gpt")])
        code, _, err = run("batch", str(file), "-o", str(self.out))
        self.assertEqual(code, 0, err)
        self.assertEqual([answer["response"]["body"]["model"] for answer in self.answers()], ["pico", "gpt"])
        prompt, shared = map(int, re.search(r"(\d+) prompt tokens \((\d+) from shared prefixes\)", err).groups())
        self.assertEqual(prompt, sum(answer["response"]["body"]["usage"]["prompt_tokens"] for answer in self.answers()))
        self.assertLessEqual(shared, prompt)

    def test_a_bad_file_is_refused_before_anything_runs(self):
        good = json.dumps({"custom_id": "a", "body": chat("x")})
        for text, word in ((good + "\n" + good, "line 2"), ("nonsense", "line 1"), (good + "\n[]", "line 2"), ("\n\n", "no requests"),
                           (json.dumps({"body": {}}), "custom_id"), (json.dumps({"custom_id": "a", "body": 3}), "body"),
                           (json.dumps({"custom_id": "a", "bodies": 1, "body": chat("x")}), '"bodies" is not known'),
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

    def test_receipts_come_where_they_are_asked_for_and_replay_makes_the_answers_again(self):
        schema = {"type": "json_schema", "json_schema": {"name": "it", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}}
        bodies = [chat("Tell me a story.", return_receipt=True, temperature=1.2, max_tokens=30), chat("Hello."),
                  chat("A number?", return_receipt=True, n=2, temperature=0.9, response_format=schema, max_tokens=60),
                  chat("x", return_receipt=True, bogus=1)]
        file = write(self.folder / "in.jsonl", bodies)
        seen = set()
        for concurrency in ("1", "8"):
            code, _, err = run("batch", str(file), "-o", str(self.out), "--concurrency", concurrency)
            self.assertEqual(code, 0, err)
            seen.add(self.out.read_bytes())
        self.assertEqual(len(seen), 1)
        told = [[choice.get("receipt") for choice in answer["response"]["body"].get("choices", [])] for answer in self.answers()]
        self.assertEqual([[receipt is not None for receipt in one] for one in told], [[True], [False], [True, True], []])
        self.assertEqual(told[0][0]["answer"]["text"], self.answers()[0]["response"]["body"]["choices"][0]["message"]["content"])
        code, out, err = run("replay", str(self.out), "--threads", "1")
        self.assertEqual(code, 0, out + err)
        self.assertEqual([line.split(": same bytes")[0].split("out.jsonl: ")[1] for line in out.splitlines()],
                         ["line 1", "line 3, choice 0", "line 3, choice 1"])
        lines = self.answers()
        lines[0]["response"]["body"]["choices"][0]["receipt"]["sampling"]["seed"] += 1
        self.out.write_text("".join(json.dumps(line) + "\n" for line in lines))
        code, out, _ = run("replay", str(self.out))
        self.assertEqual(code, 1)
        self.assertIn("line 1: differs", out)
        self.assertIn("line 3, choice 1: same bytes", out)

    def test_short_contexts_share_steps_of_up_to_512_rows(self):
        file = write(self.folder / "in.jsonl", [chat(f"What is {i} and {i}?", max_tokens=4) for i in range(32)])
        trace = self.folder / "steps.json"
        code, _, err = run("batch", str(file), "-o", str(self.out), "--context", "64", "--concurrency", "16", "--trace", str(trace))
        self.assertEqual(code, 0, err)
        rows = [event["args"]["prompt_rows"] + event["args"]["decode_rows"] for event in json.loads(trace.read_text())
                if event["ph"] == "X" and "args" in event]
        self.assertGreater(max(rows), 64)  # more than one context: prompts share the reading of the weights
        self.assertLessEqual(max(rows), 512)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
