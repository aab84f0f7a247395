"""corbel compile with bad input, and artifacts that this build must not run: what is said, and that nothing is left behind."""

import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

from runner import CORBEL, HAS_PICO, PICO, run

# What cannot be wanted at once, or at all: the flags, and words of the answer.
IMPOSSIBLE = (
    ("--quant w4 --quantize w8bf16", "--quant and --quantize say two different things"),
    ("--bits 5 --quant w4", "--bits chooses formats by itself; --quant w4 does, too"),
    ("--bits 5 --quantize w4bf16", "--bits chooses formats by itself; --quantize w4bf16 does, too"),
    ("--bits 3", "--bits is 3; expected 4.25 to 16"),
    ("--bits nan", "--bits"),
    ("--bits 5 --group 8", "--group is 8; auto has no groups to choose"),
    ("--quant w4 --group 24", "w4 has groups of 16 or 8"),
    ("--quant bf16 --group 16", "bf16 has no groups to choose"),
    ("--group 8 --q-group-size 16", "--group and --q-group-size say two different things"),
    ("--context 64 --seq-length 128", "--context and --seq-length say two different things"),
    ("--context 0", "--context is 0"),
    ("--max-input-length 32", "--max-input-length belongs to a static profile"),
    ("-s 64 --max-input-length 65", "--max-input-length is 65, more than the 64 tokens"),
    ("-s 64 --dynamic --max-input-length 32", "--dynamic makes a profile without limits"),
    ("-s 64 --use-block-with-kv --max-input-length 16", "--use-block-with-kv sets the longest piece"),
    ("--target cpu --chip bm1688", "--target and --chip say two different things"),
    ("--target n151", '--target is "n151"; known: '),
    ("--tensor-parallel 2 --num-device 4", "--tensor-parallel and --num-device say two different things"),
    ("--tensor-parallel 0", "--tensor-parallel is 0"),
    ("--keep down_proj", "expected REGEX=FORMAT"),
    ("--keep down_proj=w5", '"w5" is unknown; known: '),
    ("--keep down_proj=q4_k", "only importers write q4_k"),
    ("--keep a(b=w8", "--keep"),
    ("--quant w3", "w3"),
    ("--quantize w4", '--quantize is "w4"; known: '),
    ("--method best", "best"),
    ("--threads 0", "--threads is 0"),
)
# TPU toolchains' spellings and what each is here; the built-in model is bf16.
SPELLINGS = (
    ("-q w4bf16", "--quant w4"),
    ("--quantize w8bf16", "--quant w8"),
    ("--quantize bf16", "--quant bf16"),
    ("-q w4f16 --force", "--quant w4"),
    ("-q w8f16 --force", "--quant w8"),
    ("-q auto", "--quant auto"),
    ("-q w4bf16 --q_group_size 64", "--quant w4"),
    ("-q w4bf16 -g 8", "--quant w4 --group 8"),
    ("-s 64 --max_input_length 16", "--context 64"),
    ("--seq_length 64 -c bm1684x --num_device 1", "--context 64 --target cpu --tensor-parallel 1"),
    ("--seq_length 64 --dynamic --chip bm1688", "--target cpu"),
    ("--seq_length 64 --use_block_with_kv", ""),
)
LIMITS = (
    ("-s 64 --max_input_length 16", {"kind": "static", "context_tokens": 64, "input_tokens": 16}),
    ("--seq_length 64 --dynamic", {"kind": "dynamic"}),
    ("--seq_length 64 --use_block_with_kv", {"kind": "dynamic"}),
)
# What only the model shows.
REFUSED = (
    ("--method gptq --calibration none", "--method gptq needs a calibration text"),
    ("--quantize w4f16", 'answers become "!!!!"'),
    ("--keep no_such_tensor=w8", "matches none of the model's"),
    ("--keep norm=w8", "vectors may be f32, bf16 or f16"),
    ("--context 2049", "--context is 2049; the model was made for at most 2048 tokens"),
    ("--tensor-parallel 2", "artifacts for several ranks are not made yet"),
)
TEXTS = (
    ("empty.txt", b"", "is empty"),
    ("binary.txt", b"\x7fELF\x02\x01\x01\x00\x00\x00", "byte 7 is zero; a calibration file is plain text"),
    ("latin.txt", b"caf\xe9 " * 200, "not valid UTF-8 at byte 3"),
    ("short.txt", b"too short\n", "tokens; at least 64 are needed"),
)


@unittest.skipUnless(HAS_PICO, "the built-in model is not there")
class Compile(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        self.file = self.folder / "out" / "model.corbel"
        self.file.parent.mkdir()

    def tearDown(self):
        self.scratch.cleanup()

    def compile(self, *flags):
        return run("compile", str(PICO), "-o", str(self.file), *flags, timeout=300)

    def check_refused(self, code, flags, words):
        found, out, err = self.compile(*flags)
        self.assertEqual((found, out), (code, ""), (flags, err))
        self.assertIn(words, err, flags)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertEqual(list(self.file.parent.iterdir()), [], flags)

    def test_impossible_combinations_of_flags_are_wrong_usage(self):
        for flags, words in IMPOSSIBLE:
            found, out, err = self.compile(*flags.split())
            self.assertEqual((found, out), (2, ""), (flags, err))
            self.assertIn(words, err, flags)
            self.assertEqual(list(self.file.parent.iterdir()), [], flags)

    def test_what_the_model_cannot_do_is_refused(self):
        for flags, words in REFUSED:
            self.check_refused(1, flags.split(), words)

    def test_the_spellings_of_tpu_toolchains_make_the_plan_that_ours_make(self):
        for theirs, ours in SPELLINGS:
            code, out, err = run("compile", "-m", str(PICO), *theirs.split(), "--dry_run", "--json")
            self.assertEqual(code, 0, (theirs, err))
            self.assertEqual(json.loads(out), json.loads(run("compile", str(PICO), *ours.split(), "--dry-run", "--json")[1]), theirs)

    def test_limits_by_their_spellings_stand_in_the_manifest(self):
        for flags, limits in LIMITS:
            self.assertEqual(self.compile("--quant", "w8", "--method", "fast", *flags.split())[0], 0)
            told = json.loads(run("inspect", str(self.file), "--json")[1])["manifest"]["profiles"][0]["limits"]
            self.assertEqual(told, limits, flags)

    def test_a_calibration_text_that_is_none_is_refused_by_name(self):
        for name, content, words in TEXTS:
            path = self.folder / name
            path.write_bytes(content)
            for method in ("mse", "gptq"):
                self.check_refused(1, ("--method", method, "--calibration", str(path)), words)
        self.check_refused(1, ("--calibration", str(self.folder / "no.txt")), f"cannot open {self.folder}/no.txt")
        self.check_refused(1, ("--calibration", str(self.folder)), "is a folder, expected a file")

    def test_an_output_that_cannot_be_written_is_named(self):
        for output, words in ((self.folder, "a folder of this name exists"), (self.folder / "no/a.corbel", f"cannot write {self.folder}/no/a.corbel")):
            code, out, err = run("compile", str(PICO), "-o", str(output), "--quant", "w8")
            self.assertEqual((code, out), (1, ""))
            self.assertIn(words, err)

    def test_a_report_that_cannot_be_written_is_refused_before_the_work(self):
        for report in (self.folder / "no/report.json", self.folder):
            self.check_refused(1, ("--quant", "w4", "--report", str(report)), f"cannot write --report {report}")

    def test_a_limit_on_the_size_of_files_is_told_like_a_full_disk(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        done = subprocess.run([CORBEL, "compile", PICO, "-o", self.file, "--quant", "w4"], capture_output=True, text=True, preexec_fn=limit)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("model.corbel.partial: File too large", done.stderr)
        self.assertEqual(list(self.file.parent.iterdir()), [])

    def test_a_model_without_a_tokenizer_is_compiled_and_the_lack_told(self):
        mute = self.folder / "mute"
        shutil.copytree(PICO, mute, ignore=shutil.ignore_patterns("tokenizer*", "golden*"))
        code, out, err = run("compile", str(mute), "-o", str(self.file), "--quant", "w8", "--method", "fast")
        self.assertEqual(code, 0, err)
        self.assertIn("note: the artifact will know no text: cannot load a tokenizer from", err)

    def test_a_group_size_says_what_it_does(self):
        for quant, words in (("w4bf16", "groups are finer at the same size, 16"), ("w8bf16", "w8 has no groups to choose")):
            code, out, err = run("compile", str(PICO), "-q", quant, "--q_group_size", "64", "--dry_run")
            self.assertEqual(code, 0)
            self.assertIn("note: --q-group-size 64: ", err)
            self.assertIn(words, err)

    def test_a_model_that_is_one_file_is_not_written_over(self):
        self.assertEqual(self.compile("--quant", "w8", "--method", "fast")[0], 0)
        before = self.file.read_bytes()
        code, out, err = run("compile", str(self.file), "-o", str(self.file), "--quant", "w4")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("is the model itself", err)
        self.assertEqual(self.file.read_bytes(), before)

    def test_artifacts_of_other_layouts_and_targets_are_refused_by_every_command_that_runs_them(self):
        self.assertEqual(self.compile("--quant", "w8", "--method", "fast")[0], 0)
        whole = self.file.read_bytes()
        changed = self.folder / "changed.corbel"
        for old, new, words in (
            (rb'\"layout_version\":1', rb'\"layout_version\":2', "has artifact layout 2 (written by corbel"),
            (rb'\"layout_version\":1', rb'\"layout_version\":0', "Renew it: corbel compile MODEL -o"),
            (rb'\"target\":\"cpu\"', rb'\"target\":\"npu\"', 'was compiled for target "npu", this runs on "cpu"'),
            (rb'[\"w8\",', rb'[\"w9\",', 'weight format "w9" is unknown'),
            (b'"corbel.manifest"', b'"corbel_manifest"', "is no artifact"),
        ):
            self.assertIn(old, whole)
            changed.write_bytes(whole.replace(old, new, 1))
            for command in (("run", "--model", str(changed), "hi"), ("compile", str(changed), "-o", str(self.folder / "b.corbel"))):
                code, out, err = run(*command)
                self.assertEqual((code, out), (1, ""), (command, err))
                self.assertIn(str(changed), err)
                self.assertIn(words, err)
        changed.write_bytes(whole.replace(rb'\"target\":\"cpu\"', rb'\"target\":\"npu\"', 1))
        code, out, err = run("inspect", str(changed), "--check")
        self.assertEqual((code, out), (1, ""))  # altered: the header has another checksum
        self.assertIn(str(changed), err)

    def test_an_artifact_that_is_cut_anywhere_is_refused_by_name(self):
        self.assertEqual(self.compile("--quant", "w8", "--method", "fast")[0], 0)
        whole = self.file.read_bytes()
        header = 8 + int.from_bytes(whole[:8], "little")
        for size in (0, 1, 7, 8, 100, header - 1, header, header + 1, len(whole) // 2, len(whole) - 17, len(whole) - 1):
            cut = self.folder / "cut.corbel"
            cut.write_bytes(whole[:size])
            for words in (("run", "--model", str(cut), "hi"), ("inspect", str(cut))):
                code, out, err = run(*words)
                self.assertEqual((code, out), (1, ""), (size, words))
                self.assertIn(str(cut), err)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
