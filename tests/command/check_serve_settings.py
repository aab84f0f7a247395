"""Where corbel serve takes its settings from, and the ranges that docs/server_operation.md tells.

  usage: check_serve_settings.py CORBEL SOURCE_FOLDER
"""
import json
import pathlib
import re
import sys
import tempfile
import unittest

from runner import HAS_PICO, SOURCE, run
from served import Served


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Settings(unittest.TestCase):
    def test_a_flag_goes_before_the_environment_before_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "corbel.conf")
            for text in ("# ours\nserved-model-name = of-the-file\nmax_json_depth = 5\ncors_origin = https://a.example\ncors-origin = https://b.example\n",
                         json.dumps({"served_model_name": "of-the-file", "max-json-depth": 5, "cors_origin": ["https://a.example", "https://b.example"]})):
                file.write_text(text)
                for environment, flags, name in (({}, [], "of-the-file"), ({"CORBEL_SERVE_SERVED_MODEL_NAME": "of-the-environment"}, [], "of-the-environment"),
                                                 ({"CORBEL_SERVE_SERVED_MODEL_NAME": "of-the-environment"}, ["--served_model_name", "of-the-flag"], "of-the-flag")):
                    with Served("--config", str(file), *flags, environment=environment) as server:
                        self.assertEqual(server.request("GET", "/v1/models")[1]["data"][0]["id"], name)
                        self.assertEqual(server.chat(messages=[[[[[[1]]]]]])[1]["error"]["code"], "too_deep")
                        for origin in ("https://a.example", "https://b.example"):
                            self.assertEqual(server.request("GET", "/health", headers={"Origin": origin})[2]["access-control-allow-origin"], origin)

    def test_what_is_unknown_or_wrong_is_refused_by_its_name_and_place(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "corbel.conf")
            for text, place in (("max_queue = 5\n\nmax_cue = 1\n", "corbel.conf:3: there is no setting \"max-cue\""), ("nonsense\n", "corbel.conf:1"),
                                ('{"huh": 1}', "no setting \"huh\""), ('{"port": {}}', "\"port\""), ("port = 70000\n", "--port is 70000 (" ),
                                ("\nport = abc\n", "corbel.conf:2) is abc; it must be a number"), ("sandbox = maybe\n", "corbel.conf:1"),
                                ("kv_cache = int3\n", "corbel.conf:1"),
                                ("insecure = maybe\n", "expected true or false")):
                file.write_text(text)
                code, _, errors = run("serve", "--config", str(file))
                self.assertEqual(code, 2, text)
                self.assertIn(place, errors)
            self.assertEqual(run("serve", "--config", "/nowhere")[0], 2)
        for flag, words in ((("--port", "abc"), "--port is abc; it must be a number"), (("--max-model-len", "9999"), "--max-model-len is 9999; the model was made for at most 2048")):
            self.assertIn(words, run("serve", *flag)[2])
        code, _, errors = run("serve", environment={"CORBEL_SERVE_PROT": "1"})
        self.assertEqual(code, 2)
        self.assertIn("CORBEL_SERVE_PROT", errors)
        code, _, errors = run("serve", environment={"CORBEL_SERVE_MAX_QUEUE": "-1"})
        self.assertIn("(CORBEL_SERVE_MAX_QUEUE)", errors)
        self.assertEqual(code, 2)

    def test_the_table_in_the_docs_is_that_of_the_command(self):
        page = (SOURCE / "docs/server_operation.md").read_text()
        rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (\d+ \| \d+ to \d+) \|", page, re.MULTILINE))
        text = " ".join(run("serve", "--help")[1].split())
        told = {flag: f"{default} | {low} to {high}" for flag, default, low, high in
                re.findall(r"--([a-z-]+) INT(?:(?! --).)*?\(default (\d+); (\d+) to (\d+)\)", text)}
        self.assertGreater(len(told), 12)
        self.assertEqual(rows, told)
        for flag, bounds in told.items():
            low, high = (int(x) for x in bounds.split(" | ")[1].split(" to "))
            for wrong in (low - 1, high + 1):
                code, _, errors = run("serve", f"--{flag}={wrong}")
                self.assertEqual(code, 2)
                self.assertIn(f"it must be {low} to {high}", errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
