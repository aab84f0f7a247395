#!/usr/bin/env python3
"""Runs the corbel command as its users do. usage: check.py CORBEL SOURCE_FOLDER"""

import json
import os
import pathlib
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

CORBEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
PICO = SOURCE / "share/pico"
DATA = pathlib.Path(os.environ.get("CORBEL_TEST_DATA", SOURCE.parent / "shared/data"))
HAS_PICO = (PICO / "model.safetensors").exists()


def run(*words, text=None, environment=None, timeout=60):
    clean = {k: v for k, v in os.environ.items() if k not in ("HF_MODEL", "LLAMA_DIR", "HF_HOME", "HF_HUB_CACHE")}
    clean.update(environment or {})
    data = text if isinstance(text, bytes) or text is None else text.encode()
    done = subprocess.run([CORBEL, *words], input=data, stdin=subprocess.DEVNULL if text is None else None,
                          capture_output=True, env=clean, timeout=timeout)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Usage(unittest.TestCase):
    def test_the_version_and_the_overview_go_to_standard_output(self):
        code, out, err = run("--version")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^corbel \d+\.\d+\.\d+\n$")
        code, out, err = run("help")
        self.assertEqual((code, err), (0, ""))
        for command in ("run", "chat"):
            self.assertIn(f"  {command} ", out)
        self.assertIn("--top-k", run("help", "run")[1])

    def test_no_command_and_an_unknown_one_exit_2_with_the_nearest_name(self):
        self.assertEqual(run()[0], 2)
        code, out, err = run("caht")
        self.assertEqual((code, out), (2, ""))
        self.assertIn('did you mean "chat"', err)

    def test_wrong_flags_exit_2_naming_flag_and_range(self):
        cases = [(["--tempratur", "1", "hi"], "--tempratur"), (["--temperature", "warm", "hi"], "temperature"),
                 (["--temperature", "-1", "hi"], "temperature is -1"), (["--top-p", "0", "hi"], "top-p is 0"),
                 (["--top_p", "2", "hi"], "top-p is 2"), (["--on-full", "burst", "hi"], "burst"),
                 (["--max-tokens", "-3", "hi"], "--max-tokens is -3"), (["two", "words"], "one argument"),
                 (["--seed"], "seed"), ([""], "empty"), (["--threads", "0", "hi"], "--threads is 0"),
                 (["--device", "abacus", "hi"], "abacus"), (["--raw", "--system", "x", "hi"], "--raw")]
        for words, expected in cases:
            with self.subTest(words=words):
                code, out, err = run("run", *words)
                self.assertEqual((code, out), (2, ""), err)
                self.assertIn(expected, err)
                self.assertLessEqual(err.count("\n"), 2)

    def test_a_path_or_a_repository_in_place_of_a_prompt_exits_2_with_the_right_command(self):
        for word in (str(SOURCE), "meta-llama/Llama-3.2-1B"):
            code, out, err = run("run", word)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(f"corbel run --model {word}", err)

    def test_an_unknown_model_exits_1_and_says_where_it_looked(self):
        with tempfile.TemporaryDirectory() as home:
            code, out, err = run("run", "--model", "no/such-model", "hi", environment={"HOME": home})
        self.assertEqual((code, out), (1, ""))
        self.assertIn("no/such-model", err)
        self.assertIn(home, err)

    def test_an_unknown_level_exits_1(self):
        code, _, err = run("run", "hi", environment={"CORBEL_CPU_ISA": "v9"})
        self.assertEqual(code, 1)
        self.assertIn("v9", err)


@unittest.skipUnless(HAS_PICO, "share/pico has no weights")
class Answers(unittest.TestCase):
    def test_the_answer_is_standard_output_and_the_figures_are_one_line_of_standard_error(self):
        code, out, err = run("run", "What is a KV cache?")
        self.assertEqual(code, 0, err)
        self.assertTrue(out.strip())
        self.assertTrue(out.endswith("\n"))
        self.assertEqual(err.count("\n"), 1, err)
        for part in ("prompt ", "tok/s", "generated ", "first token ", "peak memory "):
            self.assertIn(part, err)

    def test_the_prompt_may_come_from_standard_input(self):
        expected = run("run", "What is decode?")[1]
        self.assertEqual(run("run", text="What is decode?\n")[1], expected)
        self.assertEqual(run("run", "-", text="What is decode?\n")[1], expected)

    def test_threads_and_seeds_decide_nothing_and_everything(self):
        words = ("run", "--temperature", "1.5", "--max_tokens", "24", "Tell me a story.")
        one = run(*words, "--seed", "3", "--threads", "1")[1]
        self.assertEqual(run(*words, "--seed", "3", "--threads", "2")[1], one)
        self.assertNotEqual(run(*words, "--seed", "4")[1], one)

    def test_json_has_text_figures_and_a_receipt_that_repeats_the_answer(self):
        words = ("run", "--json", "--temperature", "1.2", "--max-tokens", "16", "Hello")
        code, out, err = run(*words)
        self.assertEqual(code, 0, err)
        first = json.loads(out)
        self.assertIn(first["finish_reason"], ("stop", "length"))
        self.assertEqual(first["figures"]["generated_tokens"], len(first["receipt"]["ids"]))
        self.assertIn("/", first["receipt"]["profile"])
        again = json.loads(run(*words, "--seed", str(first["receipt"]["seed"]))[1])
        self.assertEqual(again["text"], first["text"])

    def test_a_stop_string_ends_the_answer_before_it(self):
        whole = run("run", "What is a KV cache?")[1]
        stop = whole.split()[2]
        self.assertEqual(run("run", "--stop", stop, "What is a KV cache?")[1].rstrip("\n"), whole[: whole.index(stop)].rstrip("\n"))

    def test_a_prompt_longer_than_the_context_exits_1_with_both_numbers(self):
        code, out, err = run("run", "--context", "64", "word " * 200)
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, r"\d+ tokens, the context 64")

    def test_invalid_utf8_exits_1_with_the_byte(self):
        code, out, err = run("run", "-", text=b"abcd\xff")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("4", err)
        self.assertIn("UTF-8", err)

    def test_a_reader_that_leaves_is_no_error_message(self):
        with subprocess.Popen([CORBEL, "run", "--max-tokens", "200", "Tell me a story."], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            process.stdout.close()
            err = process.stderr.read().decode()
        self.assertNotIn("corbel:", err)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CORBEL, "run", "Hello"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr.decode())


@unittest.skipUnless(HAS_PICO, "share/pico has no weights")
class Chats(unittest.TestCase):
    def test_a_pipe_gets_one_answer_per_line_and_only_new_tokens_are_prefilled(self):
        code, out, err = run("chat", "--json", text="What is a KV cache?\nWhat is decode?\n")
        self.assertEqual(code, 0, err)
        first, second = (json.loads(line) for line in out.splitlines())
        self.assertEqual(first["figures"]["cached_tokens"], 0)
        self.assertGreater(second["figures"]["cached_tokens"], first["figures"]["prompt_tokens"])
        self.assertNotIn("> ", err)

    def test_a_saved_conversation_goes_on_as_if_never_left(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "talk.json"
            whole = run("chat", "--json", text="What is a KV cache?\nWhat is decode?\n")[1].splitlines()
            code, _, err = run("chat", text=f"What is a KV cache?\n/save {path}\n")
            self.assertEqual(code, 0, err)
            self.assertEqual([m["role"] for m in json.loads(path.read_text())["messages"]], ["user", "assistant"])
            second = run("chat", "--json", text=f"/load {path}\nWhat is decode?\n")[1]
            self.assertEqual(json.loads(second)["text"], json.loads(whole[1])["text"])

    def test_commands_say_what_they_do_and_unknown_ones_are_named(self):
        code, out, err = run("chat", text="/help\n/system be brief\n/system\n/stats\n/reset\n/load /no/file\n/nonsense\n/exit\nnever\n")
        self.assertEqual((code, out), (0, ""), err)
        for part in ("/reset", "system: be brief", "memory: weights", "/no/file", "/nonsense"):
            self.assertIn(part, err)

    def test_two_models_exit_2(self):
        self.assertEqual(run("chat", "a", "b")[0], 2)

    def leaves_a_terminal(self, ahead, keys):
        """Exit code of `corbel chat` after `ahead`, typed while it starts, and then `keys` at its prompt."""
        with tempfile.TemporaryDirectory() as home:
            child, terminal = pty.fork()
            if child == 0:
                os.environ["HOME"] = home
                os.execv(CORBEL, [CORBEL, "chat"])
            os.write(terminal, ahead)
            seen = read_until(terminal, b"> ")
            for key in keys:
                os.write(terminal, bytes([key]))
                seen += read_until(terminal, b"Ctrl-C again leaves" if key == 3 else b"")
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    os.close(terminal)
                    return os.waitstatus_to_exitcode(status)
                seen += read_until(terminal, b"", 0.1)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.fail(f"the command did not leave; it showed {seen!r}")

    def test_at_a_terminal_ctrl_c_twice_leaves_with_130_and_ctrl_d_with_0(self):
        self.assertEqual(self.leaves_a_terminal(b"", b"\x03\x03"), 130)
        self.assertEqual(self.leaves_a_terminal(b"", b"\x04"), 0)

    def test_ctrl_d_typed_while_the_model_loads_leaves_the_line_empty(self):
        self.assertEqual(self.leaves_a_terminal(b"\x04\x04", b"\x04"), 0)


def read_until(terminal, text, seconds=20.0):
    """What the terminal shows until `text` came, or nothing more for a while."""
    seen = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if not ready and not text:
            break
        if ready:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
        if text and text in seen:
            break
    return seen


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


@unittest.skipUnless(HAS_PICO, "share/pico has no weights")
class BadFolders(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.place.name) / "model"
        shutil.copytree(PICO, self.folder)

    def tearDown(self):
        self.place.cleanup()

    def refused(self, *parts):
        code, out, err = run("run", "--model", str(self.folder), "hi")
        self.assertEqual((code, out), (1, ""), err)
        self.assertLessEqual(err.count("\n"), 2, err)
        for part in parts:
            self.assertIn(part, err)

    def change_config(self, **fields):
        path = self.folder / "config.json"
        config = json.loads(path.read_text())
        config.update(fields)
        path.write_text(json.dumps(config))

    def header(self):
        data = (self.folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8 : 8 + length]), data[8 + length :]

    def write_header(self, header, data):
        text = json.dumps(header).encode()
        (self.folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)

    def test_missing_files_are_named(self):
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            with self.subTest(name=name):
                kept = (self.folder / name).rename(self.folder / "kept")
                self.refused(name.split(".")[0])
                kept.rename(self.folder / name)

    def test_an_unknown_architecture_lists_the_known_ones_and_how_to_add_one(self):
        self.change_config(architectures=["AbacusForCausalLM"])
        self.refused("AbacusForCausalLM", "LlamaForCausalLM", "models/")

    def test_a_config_that_is_no_json_names_its_line(self):
        (self.folder / "config.json").write_text('{"architectures": [')
        self.refused("config.json:1:19")

    def test_truncated_weights_are_refused(self):
        data = (self.folder / "model.safetensors").read_bytes()
        (self.folder / "model.safetensors").write_bytes(data[: len(data) // 2])
        self.refused("model.safetensors")

    def test_a_header_longer_than_the_file_is_refused(self):
        (self.folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
        self.refused("model.safetensors")

    def test_a_tensor_that_is_missing_or_of_another_shape_is_named(self):
        header, data = self.header()
        name = "model.layers.0.mlp.up_proj.weight"
        kept = header.pop(name)
        header["another.name"] = kept
        self.write_header(header, data)
        self.refused(name)
        header[name] = {**header.pop("another.name"), "shape": [kept["shape"][0] // 2, kept["shape"][1] * 2]}
        self.write_header(header, data)
        self.refused(name, str(kept["shape"][0] // 2))

    def test_a_vocabulary_smaller_than_the_tokenizer_is_refused(self):
        header, data = self.header()
        self.change_config(vocab_size=json.loads((self.folder / "config.json").read_text())["vocab_size"] // 2)
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            if name not in header:
                continue
            tensor = header[name]
            tensor["shape"][0] //= 2
            middle = sum(tensor["data_offsets"]) // 2
            header["unused." + name] = {**tensor, "data_offsets": [middle, tensor["data_offsets"][1]]}
            tensor["data_offsets"][1] = middle
        # The other halves keep the file whole; the loader may name them instead.
        self.write_header(header, data)
        self.refused(str(self.folder))

    def test_a_template_that_fails_speaks_in_its_own_words(self):
        (self.folder / "chat_template.jinja").write_text("{{ raise_exception('only poems here') }}")
        self.refused("only poems here")

    def test_nan_weights_are_met_with_the_first_bad_module(self):
        header, data = self.header()
        start, end = header["model.layers.1.mlp.down_proj.weight"]["data_offsets"]
        self.write_header(header, data[:start] + b"\xff\x7f" * ((end - start) // 2) + data[end:])
        self.refused("model.layers.1.mlp")

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_a_folder_without_permission_is_named(self):
        self.folder.chmod(0)
        try:
            self.refused(str(self.folder))
        finally:
            self.folder.chmod(0o755)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
