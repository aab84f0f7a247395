"""Runs a peer's own benchmark programs with each of its settings, and Corbel's."""
import json
import pathlib
import re
import subprocess
import tempfile

import gguf_file

# What a peer is measured with. "modes" are settings that help one phase and may hurt another, so each is tried.
REPACKING_PEER = {"formats": ["IQ4_KS", "IQ4_KS:head=iq4_ks", "Q4_0", "Q4_K_M", "Q8_0", "bf16"],
                  "modes": {"plain": [], "rtr": ["-rtr", "1"], "thp": ["-thp", "1"], "rtr+thp": ["-rtr", "1", "-thp", "1"]}}
PLAIN_PEER = {"formats": ["Q4_0", "Q4_K_M", "Q8_0", "bf16"], "modes": {"plain": []}}


ARRIVE_PROMPT = 100  # tokens of the prompts of requests that arrive at once


def class_of(bits):
    """Formats are compared with formats of about as many bits per weight."""
    return "4-bit" if bits < 6.5 else "8-bit" if bits < 12 else "16-bit" if bits < 24 else "32-bit"


class Row:
    """One figure of one run: metric "prefill", "decode" or "arrive" (requests at once, prompts of ARRIVE_PROMPT tokens);
    tokens of the prompt, or decoded per sequence."""

    def __init__(self, metric, tokens, batch, tok_per_s, first_token_s=None):
        self.metric, self.tokens, self.batch, self.tok_per_s = metric, tokens, batch, tok_per_s
        self.first_token_s = first_token_s

    def key(self):
        return self.metric, self.tokens, self.batch


def run_program(command, folder=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", cwd=folder)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done


class Peer:
    """A llama-bench and the programs that stand beside it."""

    def __init__(self, name, program, formats=None):
        self.name, self.bench = name, pathlib.Path(program).absolute()
        for path in (self.bench, self.quantizer(), self.batched()):
            if not path.exists():
                raise SystemExit(f"--peer {name}={program}: {path} is not there; llama-bench, llama-quantize and "
                                 "llama-batched-bench must stand in one folder")
        text = subprocess.run([str(self.bench), "--help"], capture_output=True, text=True, errors="replace").stdout
        self.repacks = "--run-time-repack" in text
        settings = REPACKING_PEER if self.repacks else PLAIN_PEER
        self.formats, self.modes = formats or settings["formats"], settings["modes"]

    def quantizer(self):
        return self.bench.with_name("llama-quantize")

    def batched(self):
        return self.bench.with_name("llama-batched-bench")

    def run(self, model, mode, rows, threads):
        """[Row] for the wanted (metric, tokens, batch), each measured once after the program's own warm-up."""
        measured, model = [], pathlib.Path(model).absolute()
        prompts = [tokens for metric, tokens, batch in rows if metric == "prefill"]
        single = [tokens for metric, tokens, batch in rows if metric == "decode" and batch == 1]
        wide = sorted({(tokens, batch) for metric, tokens, batch in rows if metric == "decode" and batch > 1})
        if prompts or single:
            measured += self._bench(model, mode, prompts, single, threads)
        if wide:
            measured += self._batched(model, mode, wide, threads)
        for metric, tokens, batch in rows:
            if metric == "arrive":
                measured += self._batched(model, mode, [(tokens, batch)], threads, ARRIVE_PROMPT)
        return measured

    @staticmethod
    def _run(command):
        with tempfile.TemporaryDirectory() as folder:  # peers leave logs where they run
            return run_program(command, folder)

    def _bench(self, model, mode, prompts, single, threads):
        listed = lambda counts: ",".join(map(str, counts)) or "0"
        command = [self.bench, "-m", model, "-p", listed(prompts), "-n", listed(single), "-t", threads, "-r", 1, "-fa", 1,
                   "-o", "json", *self.modes[mode]]
        text = self._run(command).stdout
        rows = []
        for entry in json.loads(text[text.index("["):]):
            prefill = entry["n_prompt"] > 0
            rows.append(Row("prefill" if prefill else "decode", entry["n_prompt"] if prefill else entry["n_gen"], 1,
                            entry["avg_ts"]))
        return rows

    def _batched(self, model, mode, wide, threads, prompt=1):
        """Decoding side by side; with longer prompts all of it counts, as for requests that arrive at once: the program
        runs all prompts, then decodes, so that the first tokens come when the prompts are through."""
        tokens, batches = wide[0][0], [batch for _, batch in wide]
        context = max(512, max(batches) * (tokens + prompt))
        command = [self.batched(), "-m", model, "-c", context, "-b", 2048, "-ub", 512, "-npp", prompt, "-ntg", tokens, "-npl",
                   ",".join(map(str, batches)), "-t", threads, "-fa", "on",
                   *[part for part in self.modes[mode] if part != "1"]]
        done = self._run(command)
        rows = []
        for line in (done.stdout + "\n" + done.stderr).splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 10 and re.fullmatch(r"\d+", cells[2]):
                batch, decoded = int(cells[2]), int(cells[1])
                if prompt == 1:
                    rows.append(Row("decode", decoded, batch, float(cells[7])))
                else:
                    rows.append(Row("arrive", decoded, batch, batch * decoded / float(cells[8]), float(cells[4])))
        if not rows:
            raise SystemExit(f"{self.batched()} printed no table:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return rows


class Corbel:
    """Ours: the command's own benchmark on dummy weights of the same config."""

    name = "corbel"

    def __init__(self, program):
        self.program = pathlib.Path(program)

    def limits(self, threads):
        report = json.loads(run_program([self.program, "bench", "--limits", "--json", "--threads", threads]).stdout)
        return report["limits"]

    def run(self, config, quant, rows, threads):
        """([Row], report); the report has weight bytes and the limits probed right before each row."""
        kind, _, head = quant.partition(":head=")
        command = [self.program, "bench", "--config", config, "--dummy-weights", "--quant", kind, "--json", "--threads",
                   threads, "--repeat", 1, *(["--head-quant", head] if head else [])]
        for metric, tokens, batch in rows:
            command += {"prefill": ["--prefill", tokens], "decode": ["--batch", batch, "--decode", tokens],
                        "arrive": ["--arrive", batch, "--arrive-prompt", ARRIVE_PROMPT, "--decode", tokens]}[metric]
        report = json.loads(run_program(without_repeated(command, "--decode")).stdout)
        return [Row(row["name"], row["tokens"], row["batch"], row["tok_per_s"], row["first_token_p50_s"] or None) for row in report["results"]], report


def without_repeated(command, flag):
    """The command with only the last FLAG VALUE of several."""
    places = [i for i, part in enumerate(command) if part == flag]
    dropped = {i + k for i in places[:-1] for k in (0, 1)}
    return [part for i, part in enumerate(command) if i not in dropped]


def read_bytes_of(model):
    """(bytes one decode step reads, bits per weight) of a GGUF file."""
    header = gguf_file.Header(model)
    weights = 0
    for sizes, *_ in header.tensors.values():
        count = 1
        for size in sizes:
            count *= size
        weights += count
    return header.step_read_bytes(), 8 * header.weight_bytes() / weights
