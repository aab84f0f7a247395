#!/usr/bin/env python3
"""corbel embed. usage: check_embed.py CORBEL SOURCE_FOLDER"""

import base64
import json
import math
import pathlib
import shutil
import struct
import sys
import tempfile
import unittest

from runner import HAS_PICO, PICO, run

TEXTS = ["Hello world", "What is a KV cache?", "a", "The page holds sixty-four tokens. " * 30]


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def without_model_prefix(source, target):
    """The checkpoint as one without a head is saved: names without "model."."""
    data = source.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = {key.removeprefix("model."): value for key, value in json.loads(data[8:8 + length]).items() if key != "lm_head.weight"}
    text = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Embed(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def embed(self, *words, text=None):
        code, out, err = run("embed", *words, text=text)
        self.assertEqual(code, 0, err)
        return lines(out)

    def vectors(self, *words, text=None):
        return [line["embedding"] for line in self.embed(*words, text=text)]

    def test_texts_files_and_standard_input_give_the_same_vectors_in_their_order(self):
        expected = self.embed(*TEXTS)
        self.assertEqual([line["index"] for line in expected], [0, 1, 2, 3])
        for line in expected:
            self.assertAlmostEqual(math.fsum(x * x for x in line["embedding"]), 1.0, places=6)
        file = self.folder / "texts.jsonl"
        file.write_text("".join(json.dumps(text) + "\n" for text in TEXTS))
        self.assertEqual(self.embed(str(file)), expected)
        self.assertEqual(self.embed("pico", str(file), "--threads", "1"), expected)
        self.assertEqual(self.embed("-", text=file.read_text()), expected)
        file.write_text("".join(json.dumps({"custom_id": f"t{i}", "input": text}) + "\n" for i, text in enumerate(TEXTS)))
        told = self.embed(str(file))
        self.assertEqual([line.pop("custom_id") for line in told], ["t0", "t1", "t2", "t3"])
        self.assertEqual(told, expected)
        self.assertEqual(self.embed(text=TEXTS[1] + "\n")[0]["embedding"], expected[1]["embedding"])

    def test_a_vector_does_not_depend_on_its_company(self):
        many = [f"{text} {i}" for i in range(40) for text in TEXTS]
        file = self.folder / "texts.jsonl"
        file.write_text("".join(json.dumps(text) + "\n" for text in many))
        together = self.vectors(str(file), "--pooling", "mean")
        for i in (0, 7, 103):
            self.assertEqual(self.vectors("--model", "pico", many[i], "--pooling", "mean"), [together[i]])

    def test_openai_s_form_has_usage_and_both_encodings_agree(self):
        floats = json.loads(run("embed", "--json", *TEXTS)[1])
        coded = json.loads(run("embed", "--json", "--encoding-format", "base64", *TEXTS)[1])
        self.assertEqual((floats["object"], floats["model"]), ("list", "pico"))
        tokens = sum(line["tokens"] for line in self.embed(*TEXTS))
        self.assertEqual(floats["usage"], {"prompt_tokens": tokens, "total_tokens": tokens})
        for a, b in zip(floats["data"], coded["data"], strict=True):
            self.assertEqual((a["object"], a["index"]), ("embedding", b["index"]))
            raw = base64.b64decode(b["embedding"], validate=True)
            self.assertEqual(raw, struct.pack(f"<{len(a['embedding'])}f", *a["embedding"]))

    def test_dimensions_keep_the_first_and_normalize_again(self):
        raw = self.vectors(TEXTS[0], "--no-normalize")[0]
        cut = self.vectors(TEXTS[0], "--dimensions", "5")[0]
        length = math.sqrt(math.fsum(x * x for x in raw[:5]))
        self.assertEqual(len(cut), 5)
        for x, y in zip(cut, raw[:5]):
            self.assertAlmostEqual(x, y / length, places=6)

    def test_the_models_files_choose_and_flags_choose_otherwise(self):
        model = self.folder / "model"
        shutil.copytree(PICO, model)
        (model / "1_Pooling").mkdir()
        (model / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": False}))
        (model / "modules.json").write_text(json.dumps([{"path": "", "type": "sentence_transformers.models.Transformer"},
                                                        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]))
        (model / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "Find: "}}))
        mean = self.vectors("Hello", "--pooling", "mean", "--no-normalize")
        self.assertEqual(self.vectors(str(model), "Hello"), mean)
        self.assertEqual(self.vectors(str(model), "Hello", "--pooling", "last", "--normalize"), self.vectors("Hello"))
        self.assertEqual(self.vectors(str(model), "Hello", "--prompt", "query"), self.vectors("Find: Hello", "--pooling", "mean", "--no-normalize"))
        (model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
        self.assertEqual(self.vectors(str(model), "Hello"), mean)
        code, _, err = run("embed", str(model), "Hello, and more than five tokens")
        self.assertEqual(code, 1)
        self.assertIn("the model takes 5", err)
        self.assertEqual(len(self.vectors(str(model), "Hello, and more than five tokens", "--context", "64")), 1)
        code, _, err = run("embed", str(model), "Hello", "--prompt", "passage")
        self.assertEqual(code, 1)
        self.assertIn("the model has query", err)
        artifact = self.folder / "model.corbel"
        self.assertEqual(run("compile", str(model), "-o", str(artifact), "--quant", "bf16")[0], 0)
        self.assertEqual(self.vectors(str(artifact), "Hello"), mean)
        (model / "modules.json").write_text(json.dumps([{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]))
        code, _, err = run("embed", str(model), "Hello")
        self.assertEqual(code, 1)
        self.assertIn("sentence_transformers.models.Dense", err)

    def test_a_checkpoint_saved_without_its_head_gives_the_same_vectors(self):
        model = self.folder / "bare"
        shutil.copytree(PICO, model)
        without_model_prefix(PICO / "model.safetensors", model / "model.safetensors")
        self.assertEqual(self.vectors(str(model), *TEXTS), self.vectors("pico", *TEXTS))

    def test_nothing_is_cut_and_what_cannot_be_is_refused(self):
        code, out, err = run("embed", "short", "word " * 300, "--context", "64")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("text 2: the text has", err)
        self.assertIn("the context 64; nothing is cut off", err)
        code, _, err = run("embed", "x", "--dimensions", "100000")
        self.assertEqual(code, 1)
        self.assertIn('"dimensions" is 100000', err)
        code, _, err = run("embed", "some-org/some-model", "x")
        self.assertEqual(code, 1)
        self.assertIn("name the model by --model", err)
        file = self.folder / "texts.jsonl"
        for text, word in (("nonsense", "line 1"), ('"a"\n3', "line 2"), ('{"x": 1}', "input"), ("\n", "no text")):
            file.write_text(text)
            code, out, err = run("embed", str(file))
            self.assertEqual((code, out), (1, ""), text)
            self.assertIn(word, err)
        for words in (["x", "--dimensions", "0"], ["x", "--pooling", "cls"], ["x", "--normalize", "--no-normalize"], ["x", "--context", "0"]):
            self.assertEqual(run("embed", *words)[0], 2, words)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
