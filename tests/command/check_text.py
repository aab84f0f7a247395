#!/usr/bin/env python3
"""The commands about text: tokenize, template, parse. usage: check_text.py CORBEL SOURCE_FOLDER"""

import json
import pathlib
import sys
import tempfile
import unittest

from runner import DATA, run


class Tokenizes(unittest.TestCase):
    """`corbel tokenize` on the built-in tokenizer, and on every recorded text where the shared data is."""

    def test_a_text_is_shown_with_pieces_ids_and_counts(self):
        code, out, err = run("tokenize", "pico", "Hello, world\n")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("Hello", out.splitlines()[0])
        self.assertRegex(out.splitlines()[-1], r"^\d+ tokens, 13 characters, 13 bytes, ")

    def test_json_gives_ids_and_decode_takes_them_back(self):
        told = json.loads(run("tokenize", "pico", "--json", text="Gr\u00fc\u00dfe, \u4e16\u754c")[1])
        self.assertEqual((len(told["ids"]), told["characters"], told["bytes"]), (told["tokens"], 9, 15))
        code, out, _ = run("tokenize", "pico", "--decode", *map(str, told["ids"]))
        self.assertEqual((code, out), (0, "Gr\u00fc\u00dfe, \u4e16\u754c\n"))

    def test_lines_that_are_no_texts_are_named_and_the_others_go_on(self):
        code, out, err = run("tokenize", "pico", "--jsonl", text='{"text": "a"}\n{"txt": 1}\nnonsense\n{"text": "b"}\n')
        self.assertEqual((code, err), (1, ""))
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([sorted(row) for row in rows], [["decoded", "ids", "ids_no_special"], ["error"], ["error"], ["decoded", "ids", "ids_no_special"]])
        self.assertIn("line 2", rows[1]["error"])
        self.assertIn("line 3", rows[2]["error"])

    def test_wrong_usage_and_unknown_ids_are_told_apart(self):
        self.assertEqual(run("tokenize")[0], 2)
        self.assertEqual(run("tokenize", "pico", "two", "texts")[0], 2)
        self.assertEqual(run("tokenize", "pico", "text", "--jsonl")[0], 2)
        for flags in (["--keep-special"], ["--no-special", "--decode"], ["--no-special", "--jsonl"], ["--plain", "--decode"]):
            code, out, err = run("tokenize", "pico", *flags, text="1")
            self.assertEqual((code, out), (2, ""), flags)
            self.assertIn(flags[0], err)
        for words in (["pico", "--decode", "999999999"], ["pico", "--decode", "x"], ["/nowhere", "a"], ["/etc", "a"]):
            code, out, err = run("tokenize", *words)
            self.assertEqual((code, out), (1, ""), words)
            self.assertIn(words[-1] if words[0] == "pico" else words[0], err)

    def check_goldens(self, path, golden, with_special=True):
        rows = [json.loads(line) for line in golden.read_text().splitlines() if line]
        code, out, err = run("tokenize", str(path), "--jsonl", text="".join(json.dumps({"text": row["text"]}) + "\n" for row in rows))
        self.assertEqual((code, err), (0, ""), path)
        keys = ("ids", "ids_no_special", "decoded")
        wrong = [row["text"] for row, ours in zip(rows, map(json.loads, out.splitlines()), strict=True) if any(row[key] != ours[key] for key in keys)]
        self.assertEqual(wrong, [], path)
        return len(rows)

    @unittest.skipUnless(DATA.exists(), f"no {DATA} (set CORBEL_TEST_DATA)")
    def test_every_recorded_text_gives_the_recorded_ids(self):
        for golden in sorted(DATA.glob("tokenizers/*/golden.jsonl")) + sorted(DATA.glob("spm/*/golden_sp.jsonl")):
            with self.subTest(folder=golden.parent.name):
                self.assertGreater(self.check_goldens(golden.parent, golden), 100)

    @unittest.skipUnless(DATA.exists(), f"no {DATA} (set CORBEL_TEST_DATA)")
    def test_vocabularies_in_gguf_files_give_what_llama_cpp_gives(self):
        same = json.loads((DATA / "gguf_vocab/same_vocab_as.json").read_text())
        for name, folder in same.items():
            base = DATA / "gguf_vocab" / f"ggml-vocab-{name}.gguf"
            path = base if base.exists() else DATA / "tokenizers" / folder
            texts = pathlib.Path(f"{base}.inp").read_text().split("\n__ggml_vocab_test__\n")
            expected = [[int(i) for i in line.split()] for line in pathlib.Path(f"{base}.out").read_text().splitlines()]
            self.assertEqual(texts.pop(), "")  # behind the last separator
            with self.subTest(name=name):
                code, out, err = run("tokenize", str(path), "--jsonl", text="".join(json.dumps({"text": text}) + "\n" for text in texts))
                self.assertEqual((code, err), (0, ""))
                self.assertEqual([json.loads(line)["ids_no_special"] for line in out.splitlines()], expected)


class Parses(unittest.TestCase):
    """`corbel parse`: formats by name and by template."""

    def test_an_answer_is_taken_apart_into_thoughts_text_and_calls(self):
        answer = '<think>Paris.</think>Let me look.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
        code, out, err = run("parse", "--format", "json_in_tags", "--json", text=answer)
        self.assertEqual((code, err), (0, ""))
        told = json.loads(out)
        self.assertEqual((told["reasoning_content"], told["content"]), ("Paris.", "Let me look."))
        self.assertEqual([(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in told["tool_calls"]], [("weather", {"city": "Paris"})])
        self.assertIn("call weather", run("parse", "--format", "json_in_tags", text=answer)[1])

    def test_half_a_call_stays_text(self):
        answer = '<tool_call>\n{"name": "weather", "argum'
        told = json.loads(run("parse", "--format", "json_in_tags", "--json", text=answer)[1])
        self.assertEqual((told["content"], told["tool_calls"]), (answer, []))

    def test_a_template_tells_the_format(self):
        template = ("{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
                    "<call>{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}</call>{% endfor %}<|end|>{% endfor %}")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "chat_template.jinja"
            path.write_text(template)
            code, out, err = run("parse", "--template", str(path), "--jsonl", text=json.dumps({"text": 'Hm.<call>{"name": "f", "arguments": {"x": [1, "}"]}}</call>'}) + "\n")
            self.assertEqual((code, err), (0, ""))
            told = json.loads(out)
            self.assertEqual((told["content"], told["tool_calls"][0]["function"]), ("Hm.", {"name": "f", "arguments": '{"x": [1, "}"]}'}))

    def test_unknown_formats_and_two_ways_at_once_exit_2(self):
        code, out, err = run("parse", "--format", "abacus", text="")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("json_in_tags", err)
        self.assertEqual(run("parse", text="")[0], 2)
        self.assertEqual(run("parse", "pico", "--format", "json_in_tags", text="")[0], 2)


class Templates(unittest.TestCase):
    """`corbel template` on written templates, and on every recorded conversation where the shared data is."""

    def lines(self, *words, rows):
        code, out, err = run("template", *words, "--jsonl", text="".join(row + "\n" for row in rows))
        return code, [json.loads(line) for line in out.splitlines()], err

    def test_a_refusal_is_an_answer_and_a_line_that_is_none_exits_1(self):
        good = json.dumps({"messages": [{"role": "user", "content": "hi"}], "source": "{{ messages[0].content }}{{ tools }}"})
        refused = json.dumps({"messages": [], "source": "{{ raise_exception('only poems') }}"})
        code, rows, err = self.lines(rows=[good, refused])
        self.assertEqual((code, err, rows[0]), (0, "", {"prompt": "hiNone"}))
        self.assertIn("only poems", rows[1]["error"])
        code, rows, _ = self.lines(rows=["nonsense", '{"messages": 3}', good])
        self.assertEqual((code, rows[2]), (1, {"prompt": "hiNone"}))
        self.assertIn("line 1", rows[0]["error"])
        self.assertIn("line 2", rows[1]["error"])

    def test_the_clock_comes_from_the_line_or_the_flag_or_the_environment(self):
        row = {"messages": [], "source": "{{ strftime_now('%d %b %Y %H:%M:%S %a') }}"}
        told = "02 Jan 2026 03:04:05 Fri"
        self.assertEqual(self.lines(rows=[json.dumps({**row, "now": "2026-01-02T03:04:05"})])[1], [{"prompt": told}])
        self.assertEqual(self.lines("--now", "2026-01-02 03:04:05", rows=[json.dumps(row)])[1], [{"prompt": told}])
        out = run("template", "--jsonl", text=json.dumps(row) + "\n", environment={"CORBEL_NOW": "2026-01-02 03:04:05"})[1]
        self.assertEqual(json.loads(out), {"prompt": told})
        code, out, err = run("template", "--jsonl", "--now", "yesterday", text="")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("yesterday", err)

    def test_a_prompt_is_shown_with_tokens_and_as_json(self):
        messages = json.dumps([{"role": "user", "content": "What is a KV cache?"}])
        code, out, err = run("template", "pico", "--messages", "-", "--tokens", text=messages)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("What is a KV cache?", out)
        self.assertRegex(out.splitlines()[-1], r"^\d+ tokens$")
        told = json.loads(run("template", "pico", "--messages", "-", "--tokens", "--json", text=messages)[1])
        self.assertEqual(len(told["ids"]), len(told["pieces"]))
        shorter = json.loads(run("template", "pico", "--messages", "-", "--json", "--no-generation-prompt", text=messages)[1])
        self.assertTrue(told["prompt"].startswith(shorter["prompt"]) and told["prompt"] != shorter["prompt"])

    def test_a_request_with_tools_and_further_variables(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "t.jinja").write_text("{{ tools|length }} {{ enable_thinking }} {{ name }} {{ messages[0].content }}")
            (path / "talk.json").write_text('{"messages": [{"role": "user", "content": "hi"}], "tools": [{}, {}]}')
            words = ("template", "--template", str(path / "t.jinja"), "--messages", str(path / "talk.json"))
            code, out, err = run(*words, "--extra", "enable_thinking=false", "--extra", "name=Ada")
            self.assertEqual((code, out, err), (0, "2 False Ada hi\n", ""))
            (path / "t.jinja").write_text("a\n{{ 1 +")
            code, out, err = run(*words)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("t.jinja:2:", err)

    def test_wrong_usage_exits_2(self):
        for words in ([], ["pico"], ["--messages", "-"], ["--template", "x", "--messages", "-", "--tokens"], ["pico", "--jsonl", "--json"], ["a", "b", "--messages", "-"]):
            self.assertEqual(run("template", *words)[0], 2, words)

    @unittest.skipUnless(DATA.exists(), f"no {DATA} (set CORBEL_TEST_DATA)")
    def test_every_recorded_conversation_gives_the_recorded_prompt(self):
        by_template = {}
        for line in (DATA / "chat_templates/golden_chat.jsonl").read_text().splitlines():
            by_template.setdefault(json.loads(line)["template"], []).append(line)
        self.assertGreater(len(by_template), 40)
        for name, lines in by_template.items():
            with self.subTest(template=name):
                words = ("--template", str(DATA / f"chat_templates/{name}.jinja"), "--now", "2026-01-02 03:04:05")
                code, answers, err = self.lines(*words, rows=lines)
                self.assertEqual((code, err, len(answers)), (0, "", len(lines)))
                for line, answer in zip(lines, answers):
                    row = json.loads(line)
                    if "expected" in row:
                        self.assertEqual(answer, {"prompt": row["expected"]}, row["case"])
                    elif row["agree"] != "js_renders":  # there Python stops by accident
                        self.assertIn("error", answer, row["case"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
