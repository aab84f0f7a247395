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

from runner import CORBEL, HAS_PICO, PICO, SOURCE, run


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
                 (["--temperature", "-1", "hi"], "temperature is -1"), (["--top-p", "0", "hi"], "top_p is 0"),
                 (["--top_p", "2", "hi"], "top_p is 2"), (["--on-full", "burst", "hi"], "burst"),
                 (["--typical-p", "0", "hi"], "typical_p is 0; it must be above 0 and at most 1"),
                 (["--presence-penalty", "2.5", "hi"], "presence_penalty is 2.5; it must be between -2 and 2"),
                 (["--frequency-penalty", "-3", "hi"], "frequency_penalty is -3; it must be between -2 and 2"),
                 (["--penalty-window", "-1", "hi"], "penalty_window is -1"), (["--xtc-probability", "2", "hi"], "xtc_probability is 2"),
                 (["--xtc-threshold", "0", "hi"], "xtc_threshold is 0"), (["--logit-bias", "5=101", "hi"], "logit_bias of token 5 is 101"),
                 (["--logit-bias", "5", "hi"], "\"5\"; it must be a token's id and a number"), (["--logit-bias", "a=1", "hi"], "\"a=1\""),
                 (["--min-tokens", "-1", "hi"], "--min-tokens is -1"),
                 (["--min-tokens", "9", "--max-tokens", "8", "hi"], "min_tokens is 9; it must be at most max_tokens, which is 8"),
                 (["--max-tokens", "-3", "hi"], "--max-tokens is -3"), (["two", "words"], "one argument"),
                 (["--seed"], "seed"), ([""], "empty"), (["--threads", "0", "hi"], "--threads is 0"),
                 (["--device", "abacus", "hi"], "abacus"), (["--raw", "--system", "x", "hi"], "--raw")]
        for words, expected in cases:
            with self.subTest(words=words):
                code, out, err = run("run", *words)
                self.assertEqual((code, out), (2, ""), err)
                self.assertIn(expected, err)
                self.assertLessEqual(err.count("\n"), 2)

    def test_a_path_or_a_repository_without_a_prompt_exits_2_with_the_right_command(self):
        for word in (str(SOURCE), "meta-llama/Llama-3.2-1B"):
            code, out, err = run("run", word)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(f'corbel run {word} "your prompt"', err)

    @unittest.skipUnless(HAS_PICO, "no built-in model here")
    def test_the_first_word_may_be_the_model(self):
        expected = run("run", "What is decode?")[1]
        for word in (str(PICO), "pico"):
            self.assertEqual(run("run", word, "What is decode?")[:2], (0, expected))
        self.assertEqual(run("run", str(PICO), text="What is decode?")[:2], (0, expected))
        code, out, err = run("run", "What", "is", "decode?")
        self.assertEqual((code, out), (2, ""))
        self.assertIn('corbel run "What is ..."', err)
        code, out, err = run("run", "--model", "pico", str(PICO), "hi")
        self.assertEqual((code, out), (2, ""))

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

    def answer(self, *flags):
        code, out, err = run("run", "--json", *flags, "What is a KV cache?")
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def test_the_ends_of_an_answer_can_be_moved(self):
        plain = self.answer("--max-tokens", "200")
        ids = plain["receipt"]["ids"]
        self.assertEqual((plain["finish_reason"], plain["stop_reason"]), ("stop", ids[-1]))
        least = self.answer("--max-tokens", "200", "--min-tokens", str(len(ids) + 5))
        self.assertEqual(least["receipt"]["ids"][: len(ids) - 1], ids[:-1])
        self.assertGreater(least["figures"]["generated_tokens"], len(ids) + 4)
        endless = self.answer("--max-tokens", "200", "--ignore-eos")
        self.assertEqual((endless["finish_reason"], endless["stop_reason"]), ("length", None))
        self.assertEqual((endless["receipt"]["ids"][: len(ids)], len(endless["receipt"]["ids"])), (ids, 200))
        stop = plain["text"].split()[2]
        self.assertEqual(self.answer("--stop", stop)["stop_reason"], stop)

    def test_biases_and_penalties_change_what_they_name_and_stand_in_the_receipt(self):
        first = self.answer("--max-tokens", "8")["receipt"]["ids"][0]
        biased = self.answer("--max-tokens", "8", "--logit-bias", f"{first}=-100", "--logit-bias", "7=0.5")
        self.assertNotIn(first, biased["receipt"]["ids"])
        self.assertEqual(biased["receipt"]["logit_bias"], {"7": 0.5, str(first): -100.0} if first > 7 else {str(first): -100.0, "7": 0.5})
        forced = self.answer("--max-tokens", "8", "--logit-bias", f"{first}=100", "--ignore-eos")
        self.assertEqual(forced["receipt"]["ids"], [first] * 8)
        biased = ("--max-tokens", "40", "--logit-bias", f"{first}=60", "--ignore-eos", "--frequency-penalty", "2")
        self.assertNotEqual(set(self.answer(*biased)["receipt"]["ids"]), {first}, "39 times 2 are more than 60")
        windowed = self.answer(*biased, "--presence-penalty", "1.5", "--penalty-window", "5")["receipt"]
        self.assertEqual(windowed["ids"], [first] * 40, "5 times 2 and 1.5 are less than 60")
        self.assertEqual((windowed["presence_penalty"], windowed["frequency_penalty"], windowed["penalty_window"]), (1.5, 2.0, 5))
        code, out, err = run("run", "--logit-bias", "99999999=1", "hi")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("logit_bias names token 99999999", err)

    def test_samplers_draw_other_answers_and_the_same_again(self):
        plain = ("--temperature", "1.5", "--seed", "5", "--max-tokens", "40")
        base = self.answer(*plain)["receipt"]["ids"]
        for flags in (("--typical-p", "0.2"), ("--xtc-probability", "1", "--xtc-threshold", "0.05"), ("--min-p", "0.3")):
            drawn = self.answer(*plain, *flags)["receipt"]["ids"]
            self.assertNotEqual(drawn, base, flags)
            self.assertEqual(self.answer(*plain, *flags)["receipt"]["ids"], drawn)

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
