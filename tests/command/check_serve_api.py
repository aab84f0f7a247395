"""The endpoints of corbel serve over a socket: completions, embeddings, receipts, several models, what the server says of itself.

  usage: check_serve_api.py CORBEL SOURCE_FOLDER
"""
import base64
import json
import pathlib
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from served import Served, events
from runner import CORBEL, HAS_PICO, PICO, run


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Endpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.copy = pathlib.Path(cls.holder.name) / "copy"
        shutil.copytree(PICO, cls.copy)
        cls.server = Served(str(PICO), f"second={cls.copy}", f"third={cls.copy}", "--max-model-bytes", "320000000")  # two of them

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        cls.holder.cleanup()
        assert code == 0

    def post(self, path, body):
        status, answer, _ = self.server.request("POST", path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def test_memory_of_the_first_steps_is_there_when_it_is_ready(self):
        release = tuple(int(part) for part in platform.release().split(".")[:2])
        if release < (5, 14):
            self.skipTest("memory cannot be committed ahead before Linux 5.14")
        server = Served(str(PICO), "--max-num-seqs", "64")
        lines = pathlib.Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8").splitlines()
        self.assertEqual(server.stop(), 0)
        kilobytes = int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])
        self.assertGreater(kilobytes, 16 * 1024, "4 MB are there without: 256 MB are wanted, as many as its time allows")

    def test_a_completion_goes_on_as_the_command_does(self):
        prompt = "What is a KV cache?"
        code, out, err = run("run", "--raw", "--max-tokens", "20", "--temperature", "0", prompt)
        self.assertEqual(code, 0, err)
        answer = self.post("/v1/completions", {"prompt": prompt, "max_tokens": 20, "temperature": 0})
        self.assertEqual(answer["choices"][0]["text"].rstrip("\n"), out.rstrip("\n"))
        status, text, _ = self.server.request("POST", "/v1/completions", {"prompt": [prompt, prompt], "max_tokens": 20, "temperature": 0, "stream": True})
        self.assertEqual(status, 200)
        pieces, done = events(text)
        self.assertTrue(done)
        for index in (0, 1):
            self.assertEqual("".join(piece["choices"][0]["text"] for piece in pieces if piece["choices"][0]["index"] == index), answer["choices"][0]["text"])

    def test_the_prompts_logprobs_are_those_of_the_answer_that_made_them(self):
        made = self.post("/v1/completions", {"prompt": "What is", "max_tokens": 12, "temperature": 0, "logprobs": 3, "ignore_eos": True})["choices"][0]
        tokens = self.post("/tokenize", {"prompt": "What is"})["tokens"]
        again = self.post("/v1/completions", {"prompt": "What is" + made["text"], "max_tokens": 0, "echo": True, "logprobs": 3})["choices"][0]
        self.assertEqual(again["text"], "What is" + made["text"])
        if again["logprobs"]["tokens"][len(tokens):] != made["logprobs"]["tokens"]:
            self.skipTest("the text has become other tokens")
        self.assertEqual(again["logprobs"]["token_logprobs"][len(tokens):], made["logprobs"]["token_logprobs"], "bit for bit")
        self.assertEqual(again["logprobs"]["top_logprobs"][len(tokens):], made["logprobs"]["top_logprobs"])

    def test_vectors_are_those_of_the_command(self):
        texts = ["What is a KV cache?", "hello"]
        code, out, err = run("embed", str(PICO), *texts)
        self.assertEqual(code, 0, err)
        wanted = [json.loads(line)["embedding"] for line in out.splitlines()]
        answer = self.post("/v1/embeddings", {"input": texts})
        self.assertEqual([one["embedding"] for one in answer["data"]], wanted)
        packed = self.post("/v1/embeddings", {"input": texts[1], "encoding_format": "base64", "dimensions": 16})["data"][0]["embedding"]
        vector = struct.unpack("<16f", base64.b64decode(packed))
        self.assertAlmostEqual(sum(value * value for value in vector), 1.0, places=5)

    def test_a_receipt_is_replayed_here_and_by_the_command(self):
        _, answer, _ = self.server.chat(max_tokens=24, temperature=1.1, seed=5, n=2, return_receipt=True)
        for choice in answer["choices"]:
            again = self.post("/replay", {"receipt": choice["receipt"]})
            self.assertEqual((again["same"], again["difference"]), (True, None))
            self.assertEqual(again["text"], choice["receipt"]["answer"]["text"])
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(answer["choices"][1]["receipt"], file)
            file.flush()
            code, out, err = run("replay", file.name, str(PICO))
            self.assertEqual(code, 0, out + err)

    def test_models_are_asked_for_by_name_and_opened_when_they_are(self):
        listed = self.server.request("GET", "/v1/models")[1]["data"]
        self.assertEqual([model["id"] for model in listed][1:], ["second", "third"])
        first = self.server.chat(max_tokens=8, temperature=0)[1]
        for name in ("third", "second", str(self.copy), "third"):
            status, answer, _ = self.server.chat(model=name, max_tokens=8, temperature=0)
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["model"], name)
            self.assertEqual(answer["choices"], first["choices"], "the same weights say the same")
        open_bytes = sum(model["card"]["memory_bytes"] for model in self.server.request("GET", "/v1/models")[1]["data"] if model["loaded"])
        self.assertLessEqual(open_bytes, 320000000)
        status, answer, _ = self.server.chat(model="gpt-4o")
        self.assertEqual((status, answer["error"]["code"], answer["error"]["param"]), (404, "model_not_found", "model"))
        self.assertEqual(self.server.request("GET", "/v1/models/second")[1]["id"], "second")
        self.assertEqual(self.server.request("GET", "/v1/models/nobody")[0], 404)

    def test_the_server_describes_itself(self):
        self.assertEqual(self.server.request("GET", "/health/generate")[1]["status"], "ok")
        told = self.server.request("GET", "/v1/capabilities")[1]
        document = self.server.request("GET", "/openapi.json")[1]
        for endpoint in told["endpoints"]:
            method, path = endpoint.split()
            self.assertIn(method.lower(), document["paths"][path])
        for path, fields in told["fields"].items():
            schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            self.assertEqual(set(schema["properties"]), set(sum(fields.values(), [])))


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Starting(unittest.TestCase):
    def test_models_that_are_not_there_or_share_a_name_are_refused_at_once(self):
        for words, why in (([str(PICO), "x=/nowhere/model"], "/nowhere/model"), ([str(PICO), str(PICO)], "two models are called"),
                           ([str(PICO), f"b={PICO}", "--draft", str(PICO)], "--draft")):
            done = subprocess.run([CORBEL, "serve", "--port", "0", *words], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(why, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
