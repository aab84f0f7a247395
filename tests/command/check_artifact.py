"""The commands about artifacts: inspect, diff, combine, extract, and models that run out of one file."""

import concurrent.futures
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

from runner import HAS_PICO, PICO, run


def compiled(folder, name, *flags):
    """An artifact of the built-in model."""
    path = pathlib.Path(folder) / name
    code, out, err = run("compile", str(PICO), "-o", str(path), *flags, timeout=300)
    assert code == 0, err
    return path


@unittest.skipUnless(HAS_PICO, "the built-in model is not there")
class Artifacts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.w8 = compiled(cls.folder, "w8.corbel", "--quant", "w8")
        cls.plain = compiled(cls.folder, "plain.corbel", "--quant", "bf16")
        cls.short = compiled(cls.folder, "short.corbel", "--quant", "w8", "-s", "64")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_an_artifact_answers_and_its_files_are_all_that_is_needed(self):
        code, out, err = run("run", "--model", str(self.w8), "--max-tokens", "8", "--json", "The sea is")
        self.assertEqual(code, 0, err)
        told = json.loads(out)
        self.assertEqual(told["receipt"]["model"], str(self.w8))
        self.assertGreater(told["figures"]["generated_tokens"], 0)
        code, out, err = run("tokenize", str(self.w8), "The sea", "--json")
        self.assertEqual((code, out), run("tokenize", str(PICO), "The sea", "--json")[:2], err)
        messages = json.dumps([{"role": "user", "content": "hi"}])
        self.assertEqual(run("template", str(self.w8), "--messages", "-", text=messages)[:2],
                         run("template", str(PICO), "--messages", "-", text=messages)[:2])

    def test_inspect_tells_what_is_in_it(self):
        code, out, err = run("inspect", str(self.w8), "--check", "--tensors", "--json")
        self.assertEqual((code, err), (0, ""))
        told = json.loads(out)
        self.assertTrue(told["checked"])
        self.assertEqual(told["kind"], "artifact")
        self.assertEqual(told["manifest"]["layout_version"], 1)
        self.assertEqual(told["file_bytes"], self.w8.stat().st_size)
        self.assertIn("config.json", told["files"])
        self.assertGreater(told["kv_bytes_per_token"], 0)
        self.assertEqual(sum(t["bytes"] for t in told["tensors"]), told["weight_bytes"])
        self.assertTrue(all(t["offset"] % 64 == 0 for t in told["tensors"]))
        source = json.loads(run("inspect", str(PICO), "--json")[1])
        self.assertEqual((source["kind"], source["parameters"]), ("Hugging Face folder", told["parameters"]))
        code, out, err = run("inspect", str(self.w8), "--tensors")
        self.assertEqual((code, err), (0, ""))
        for word in ("architecture", "context", "KV cache", "tokenizer", "profile", "w8", "bits/weight"):
            self.assertIn(word, out)

    def test_a_flipped_byte_and_a_cut_file_are_refused_by_name(self):
        tensor = json.loads(run("inspect", str(self.w8), "--tensors", "--json")[1])["tensors"][0]
        damaged = self.folder / "damaged.corbel"
        data = bytearray(self.w8.read_bytes())
        data[tensor["offset"] + 3] ^= 1
        damaged.write_bytes(data)
        code, out, err = run("inspect", str(damaged), "--check")
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f'{damaged}: section "{tensor["name"]}" is damaged: bytes {tensor["offset"]} to', err)
        damaged.write_bytes(data[: len(data) // 2])
        for words in (("inspect", str(damaged)), ("run", "--model", str(damaged), "hi"), ("tokenize", str(damaged), "hi")):
            code, out, err = run(*words)
            self.assertEqual((code, out), (1, ""), words)
            self.assertIn(str(damaged), err)

    def test_what_has_no_checksums_cannot_be_checked(self):
        code, out, err = run("inspect", str(PICO), "--check")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("has no checksums", err)

    def test_a_static_profile_limits_the_context(self):
        told = json.loads(run("inspect", str(self.short), "--json")[1])
        self.assertEqual(told["manifest"]["profiles"][0]["limits"]["context_tokens"], 64)
        self.assertEqual(told["context_tokens"], 64)
        code, out, err = run("run", "--model", str(self.short), "--context", "65", "hi")
        self.assertEqual((code, out), (1, ""))
        self.assertIn('--context is 65; the static profile "default" of short.corbel was compiled for at most 64 tokens', err)

    def test_limits_outlive_compiling_anew_unless_flags_say_otherwise(self):
        for flags, expected in (([], {"kind": "static", "context_tokens": 64}), (["-s", "32"], {"kind": "static", "context_tokens": 32}),
                                (["--dynamic"], {"kind": "dynamic"})):
            again = self.folder / "again.corbel"
            code, out, err = run("compile", str(self.short), "-o", str(again), "--quant", "w4", "--method", "fast", *flags)
            self.assertEqual(code, 0, err)
            self.assertEqual("--dynamic takes its limits away" in out + err, flags == [])
            limits = json.loads(run("inspect", str(again), "--json")[1])["manifest"]["profiles"][0]["limits"]
            self.assertEqual({**limits, **expected}, limits)

    def test_the_cache_type_outlives_compiling_anew_unless_another_is_given(self):
        first, again = self.folder / "cache.corbel", self.folder / "cache-again.corbel"
        code, _, err = run("compile", str(PICO), "-o", str(first), "--quant", "w4", "--method", "fast", "--kv-cache", "int8")
        self.assertEqual(code, 0, err)
        for flags, expected in (([], "int8"), (["--kv-cache", "f32"], "f32")):
            code, _, err = run("compile", str(first), "-o", str(again), "--quant", "w8", "--method", "fast", *flags)
            self.assertEqual(code, 0, err)
            settings = json.loads(run("inspect", str(again), "--json")[1])["manifest"]["profiles"][0]["settings"]
            self.assertEqual(settings["kv_cache"], expected)

    def damaged_tensor(self):
        tensor = json.loads(run("inspect", str(self.w8), "--tensors", "--json")[1])["tensors"][0]
        data = bytearray(self.w8.read_bytes())
        data[tensor["offset"] + 3] ^= 1
        damaged = self.folder / "one-bit.corbel"
        damaged.write_bytes(data)
        return damaged, tensor["name"]

    def test_damage_gets_no_new_checksums(self):
        damaged, name = self.damaged_tensor()
        new = self.folder / "new.corbel"
        for words in (("compile", str(damaged)), ("extract", str(damaged), "default"), ("combine", str(damaged), str(self.plain))):
            code, out, err = run(*words, "-o", str(new))
            self.assertEqual((code, out), (1, ""), words)
            self.assertIn(f'{damaged}: section "{name}" is damaged', err)
            self.assertFalse(new.exists(), words)

    def test_diff_sees_a_changed_bit_although_both_files_have_the_same_checksums(self):
        damaged, name = self.damaged_tensor()
        code, out, err = run("diff", str(self.w8), str(damaged), "--json")
        self.assertEqual((code, err), (1, ""))
        self.assertEqual([t["name"] for t in json.loads(out)["tensors"]], [name])

    def test_diff_reads_a_text_with_both_models(self):
        text = self.folder / "text.txt"
        text.write_text("The sea is wide and the boat is small. " * 30)
        code, out, err = run("diff", str(PICO), str(self.w8), "--text", str(text), "--tokens", "200", "--json")
        self.assertEqual((code, err), (1, ""))
        close = json.loads(out)["answers"]
        self.assertEqual(close["tokens"], 200)
        self.assertTrue(0 < close["kl_mean"] < 0.05, close)
        self.assertGreater(close["top1"], 0.8)
        self.assertAlmostEqual(close["perplexity_b"] / close["perplexity_a"], 1.0, delta=0.1)
        far = json.loads(run("diff", str(PICO), str(compiled(self.folder, "w4.corbel", "--quant", "w4", "--method", "fast")),
                             "--text", str(text), "--tokens", "200", "--json")[1])["answers"]
        self.assertGreater(far["kl_mean"], close["kl_mean"])
        self.assertEqual(far["perplexity_a"], close["perplexity_a"])
        code, out, err = run("diff", str(PICO), str(self.short), "--text", "builtin", "--tokens", "100")
        self.assertEqual((code, err), (1, ""))  # windows of the static profile's 64 tokens
        for word in ("KL(A || B)", "top-1", "perplexity", "100 tokens"):
            self.assertIn(word, out)
        for words, said in ((("--text", "no.txt"), "cannot open no.txt"), (("--text", str(self.w8)), "not valid UTF-8")):
            code, out, err = run("diff", str(PICO), str(self.w8), *words)
            self.assertEqual((code, out), (1, ""), words)
            self.assertIn(said, err)
        self.assertEqual(run("diff", str(PICO), str(self.w8), "--text", "builtin", "--tokens", "1")[0], 2)

    def test_inspect_tells_the_error_of_every_quantized_tensor(self):
        certificate = json.loads(run("inspect", str(self.w8), "--json")[1])["certificate"]["tensors"]
        lines = run("inspect", str(self.w8), "--tensors")[1].splitlines()
        for tensor in certificate:
            line = next(line for line in lines if line.startswith(tensor["name"] + " "))
            if "sqnr_db" in tensor:
                self.assertAlmostEqual(float(line.split()[-1]), tensor["sqnr_db"], delta=0.0051, msg=line)

    def test_a_folder_without_a_model_is_refused(self):
        nothing = self.folder / "nothing"
        nothing.mkdir()
        (nothing / "notes.txt").write_text("no model")
        code, out, err = run("inspect", str(nothing))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("has no weights", err)

    def test_diff_tells_formats_and_values_apart(self):
        code, out, err = run("diff", str(self.w8), str(self.w8))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("0 differ", out)
        code, out, err = run("diff", str(PICO), str(self.w8), "--json")
        self.assertEqual((code, err), (1, ""))
        told = json.loads(out)
        self.assertEqual(told["fields"], [])
        packed = [t for t in told["tensors"] if t["b"].startswith("w8")]
        self.assertTrue(packed)
        self.assertTrue(all(0 < t["relative_difference"] < 0.02 for t in packed))

    def test_combined_profiles_run_each_and_come_apart_again(self):
        both = self.folder / "both.corbel"
        code, out, err = run("combine", str(self.w8), str(self.plain), "-o", str(both))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("profiles w8 plain", out)
        self.assertLess(both.stat().st_size, self.w8.stat().st_size + self.plain.stat().st_size)
        for profile, original in (("w8", self.w8), ("plain", self.plain)):
            words = ("--max-tokens", "6", "The sea is")
            self.assertEqual(run("run", "--model", f"{both}#{profile}", *words)[:2], run("run", "--model", str(original), *words)[:2])
            apart = self.folder / "apart.corbel"
            self.assertEqual(run("extract", str(both), profile, "-o", str(apart))[0], 0)
            self.assertEqual(apart.read_bytes(), original.read_bytes())
        before = both.read_bytes()
        for words in (("extract", str(both), "w8"), ("combine", str(self.w8), str(both))):
            code, out, err = run(*words, "-o", str(both))  # the other profiles would be gone
            self.assertEqual((code, out), (1, ""), words)
            self.assertIn(f"cannot write {both}: it is what is read", err)
        self.assertEqual(both.read_bytes(), before)
        code, out, err = run("run", "--model", f"{both}#w3", "hi")
        self.assertEqual((code, out), (1, ""))
        self.assertIn('no profile "w3"; it has "w8", "plain"', err)

    def test_quant_packs_once_into_the_cache(self):
        place = {"XDG_CACHE_HOME": str(self.folder / "cache")}
        words = ("run", "--model", str(PICO), "--quant", "w8", "--max-tokens", "6", "The sea is")
        first = run(*words, environment=place)
        self.assertEqual(first[0], 0, first[2])
        self.assertIn("packing", first[2])
        self.assertEqual(len(list((self.folder / "cache/corbel").glob("*.corbel"))), 1)
        second = run(*words, environment=place)
        self.assertEqual(second[:2], first[:2])
        self.assertNotIn("packing", second[2])
        code, out, err = run("run", "--model", str(self.w8), "--quant", "w8", "hi", environment=place)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("is an artifact, packed as it was compiled", err)

    def test_what_is_packed_goes_by_content_and_not_by_name(self):
        place = {"XDG_CACHE_HOME": str(self.folder / "by-content")}
        words = ("--quant", "w8", "--max-tokens", "6", "The sea is")
        copy = self.folder / "model"
        shutil.copytree(PICO, copy)
        self.assertIn("packing", run("run", "--model", str(copy), *words, environment=place)[2])
        shutil.move(copy, self.folder / "elsewhere")
        shutil.move(self.folder / "elsewhere", copy)
        weights = copy / "model.safetensors"
        data = bytearray(weights.read_bytes())
        weights.unlink()
        weights.write_bytes(data)  # the same content, another file
        self.assertNotIn("packing", run("run", "--model", str(copy), *words, environment=place)[2])
        data[len(data) // 3 + 700] ^= 1  # one bit of one weight, the size as before
        weights.write_bytes(data)
        self.assertIn("packing", run("run", "--model", str(copy), *words, environment=place)[2])
        self.assertEqual(len(list((self.folder / "by-content/corbel").glob("*.corbel"))), 2)

    def test_two_processes_that_pack_the_same_model_pack_it_once(self):
        place = {"XDG_CACHE_HOME": str(self.folder / "together")}
        words = ("run", "--model", str(PICO), "--quant", "w4", "--max-tokens", "6", "The sea is")
        with concurrent.futures.ThreadPoolExecutor(3) as three:
            answers = [one.result() for one in [three.submit(run, *words, environment=place) for _ in range(3)]]
        self.assertEqual({(code, out) for code, out, err in answers}, {answers[0][:2]}, answers)
        self.assertEqual(answers[0][0], 0)
        self.assertEqual(sum("packed into" in err for code, out, err in answers), 1)
        left = [path.name for path in (self.folder / "together/corbel").iterdir()]
        self.assertEqual(sorted(pathlib.Path(name).suffix for name in left), [".content", ".corbel"], left)

    def test_a_cache_that_cannot_be_written_is_named_and_left_as_it_is(self):
        place = self.folder / "no-folder"
        place.write_text("a file")
        code, out, err = run("run", "--model", str(PICO), "--quant", "w8", "hi", environment={"XDG_CACHE_HOME": str(place)})
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"{place}/corbel", err)
        self.assertEqual(place.read_text(), "a file")

    def test_wrong_usage_exits_2(self):
        for words in (("inspect",), ("inspect", "a", "b"), ("diff", "a"), ("combine", "a", "-o", "b"), ("extract", "a", "-o", "b"), ("combine", "a", "b")):
            self.assertEqual(run(*words)[0], 2, words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
