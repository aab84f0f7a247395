#!/usr/bin/env python3
"""The tables of bench/text, which is the door; see there."""
import argparse
import gzip
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
NAMES = ["gpt2", "qwen2", "llama3.1", "falcon", "minimind", "llama2", "phi-3-mini", "minicpm3", "bert-base-uncased",
         "t5-small"]
GROWTH_NAMES = ["qwen2", "llama3.1", "falcon", "minimind", "llama2", "bert-base-uncased", "t5-small"]
FNV_START, FNV_PRIME, WORD = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
SIZES_KB = [64, 256, 1024, 4096]


class Ours:
    """The program, kept running, so that it and the peers take turns."""

    def __init__(self, program, corpus):
        self.process = subprocess.Popen([program, "serve", corpus], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise SystemExit(f"text_bench ended at {line!r}")
        return answer


def hash_of(documents_ids):
    value, count = FNV_START, 0
    for ids in documents_ids:
        for number in ids:
            value = ((value ^ number) * FNV_PRIME) & WORD
        count += len(ids)
    return f"{count} {value:016x}"


def prepared_folder(data, name, work):
    """A folder with tokenizer.json (unpacked where the data has it packed), or None."""
    source = data / name
    if (source / "tokenizer.json").exists():
        return source
    if not (source / "tokenizer.json.gz").exists():
        return None
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer.json").exists():
        with gzip.open(source / "tokenizer.json.gz") as packed, open(folder / "tokenizer.json", "wb") as out:
            shutil.copyfileobj(packed, out)
    return folder


def first_regex(node):
    if isinstance(node, dict):
        if isinstance(node.get("Regex"), str):
            return node["Regex"]
        node = list(node.values())
    for part in node if isinstance(node, list) else []:
        if found := first_regex(part):
            return found
    return None


def tiktoken_of(folder, name):
    """tiktoken with the ranks of a byte-level tokenizer.json: a token's id is its rank in these files."""
    import tiktoken

    file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}
    vocab = file["model"]["vocab"]
    special = {token["content"]: token["id"] for token in file["added_tokens"]}
    ranks = {bytes(byte_of[c] for c in token): rank for token, rank in vocab.items() if token not in special}
    regex = first_regex(file["pre_tokenizer"]) or (
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s")
    return tiktoken.Encoding(name=name, pat_str=regex, mergeable_ranks=ranks, special_tokens=special)


def seconds_of(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure(name, folder, ours, documents, args):
    """One row of the table, or a refusal."""
    loads = [ours.ask(f"load {folder}") for _ in range(args.rounds)]
    if loads[0].startswith("refused"):
        return {"name": name, "refused": loads[0]}
    size_mb = sum(len(text.encode()) for text in documents) / 1e6
    row = {"name": name, "load_ms": statistics.median(float(load) for load in loads)}
    runs = {"ours": lambda: None}
    try:
        import tokenizers

        path = str(folder / "tokenizer.json")
        row["hf_load_ms"] = statistics.median(
            seconds_of(lambda: tokenizers.Tokenizer.from_file(path)) for _ in range(3)) * 1e3
        peer = tokenizers.Tokenizer.from_file(path)
        expected = [encoding.ids for encoding in peer.encode_batch(documents, add_special_tokens=False)]
        row["ids_equal_hf"] = ours.ask("ids") == hash_of(expected)
        if not row["ids_equal_hf"]:
            for number, ids in enumerate(expected):
                if list(map(int, ours.ask(f"ids {number}").split())) != ids:
                    row["differs_in_document"] = number
                    break
        runs["hf"] = lambda: [peer.encode(text, add_special_tokens=False) for text in documents]
        runs["hf_batch"] = lambda: peer.encode_batch_fast(documents, add_special_tokens=False)
        if name in ("gpt2", "qwen2", "llama3.1"):
            tik = tiktoken_of(folder, name)
            row["ids_equal_tiktoken"] = expected == [tik.encode(text, allowed_special="all") for text in documents]
            runs["tiktoken"] = lambda: [tik.encode_ordinary(text) for text in documents]
    except ImportError:
        pass
    seconds = {kind: [] for kind in runs}
    ours.ask("run")
    for _ in range(args.rounds):
        for kind, run in runs.items():
            if kind == "ours":
                seconds[kind].append(float(ours.ask("run").split()[0]))
            elif len(seconds[kind]) < args.peer_rounds:
                seconds[kind].append(seconds_of(run))
    for kind, times in seconds.items():
        row[f"{kind}_mb_s"] = size_mb / statistics.median(times)
    return row


def number(row, key, form):
    return format(row[key], form) if key in row else "-"


def print_rows(rows):
    print(f"{'tokenizer':18} {'ours':>8} {'HF':>7} {'ratio':>6} {'HF batch':>9} {'ratio':>6} {'tiktoken':>9} {'ratio':>6}"
          f" {'load':>7} {'HF load':>8}  ids")
    print(f"{'':18} {'MB/s':>8} {'MB/s':>7} {'':>6} {'MB/s':>9} {'':>6} {'MB/s':>9} {'':>6} {'ms':>7} {'ms':>8}")
    for row in rows:
        if "refused" in row:
            print(f"{row['name']:18} {row['refused'][:100]}")
            continue
        ratios = {kind: f"{row['ours_mb_s'] / row[f'{kind}_mb_s']:.1f}" if f"{kind}_mb_s" in row else "-"
                  for kind in ("hf", "hf_batch", "tiktoken")}
        equal = [row[key] for key in ("ids_equal_hf", "ids_equal_tiktoken") if key in row]
        verdict = "not compared" if not equal else "equal" if all(equal) else "DIFFERENT"
        print(f"{row['name']:18} {row['ours_mb_s']:8.1f} {number(row, 'hf_mb_s', '.2f'):>7} {ratios['hf']:>6}"
              f" {number(row, 'hf_batch_mb_s', '.2f'):>9} {ratios['hf_batch']:>6}"
              f" {number(row, 'tiktoken_mb_s', '.2f'):>9} {ratios['tiktoken']:>6} {row['load_ms']:7.1f}"
              f" {number(row, 'hf_load_ms', '.0f'):>8}  {verdict}"
              + (f" (document {row['differs_in_document']})" if "differs_in_document" in row else ""))


def growth_of(program, name, folder):
    answer = subprocess.run([program, "growth", str(folder)], capture_output=True, text=True, check=False)
    rows = []
    for line in answer.stdout.splitlines():
        text, *times = line.split()
        times = [float(value) for value in times]
        exponent = math.log(times[-1] / times[0]) / math.log(SIZES_KB[-1] / SIZES_KB[0])
        rows.append({"name": name, "text": text, "seconds": times, "exponent": exponent})
    return rows


def print_growth(rows):
    print("\nmilliseconds for texts of one kind; exponent: 1 is linear; a bar's length is the time of 1 MB, # is 10 ms")
    print(f"{'tokenizer':18} {'text':16} {'64 KB':>8} {'256 KB':>8} {'1 MB':>8} {'4 MB':>8} {'exponent':>9}")
    for row in rows:
        times = "".join(f" {seconds * 1e3:8.2f}" for seconds in row["seconds"])
        bar = "#" * min(30, round(row["seconds"][2] * 100))
        print(f"{row['name']:18} {row['text']:16}{times} {row['exponent']:9.2f} {bar}")


def main():
    parser = argparse.ArgumentParser(prog="bench/text")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--peers", action="store_true", help="measure Hugging Face tokenizers and tiktoken too")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--only", default="", help="names of tokenizers, with commas between")
    parser.add_argument("--mb", type=float, default=10, help="size of the corpus")
    parser.add_argument("--rounds", type=int, default=5, help="runs of ours; medians are shown")
    parser.add_argument("--peer-rounds", type=int, default=3, help="runs of each peer")
    parser.add_argument("--no-growth", action="store_true", help="leave out the adversarial texts")
    shared = pathlib.Path(os.environ.get("CORBEL_TEST_DATA", "../shared/data")) / "tokenizers"
    parser.add_argument("--data", type=pathlib.Path, default=shared, help="folder with one folder per tokenizer")
    args = parser.parse_args()
    corpus = args.work / f"corpus_{args.mb:g}mb"
    made = subprocess.run([args.program, "corpus", str(corpus), str(int(args.mb * 1e6))], check=True,
                          capture_output=True, text=True).stdout
    if not args.data.is_dir():
        print(f"skipped: no tokenizers in {args.data} (--data, or CORBEL_TEST_DATA)", file=sys.stderr)
        return 0
    documents = [part.decode() for part in corpus.read_bytes().split(b"\0")]
    if documents and not documents[-1]:
        documents.pop()
    names = [name for name in args.only.split(",") if name] or NAMES
    folders = {name: folder for name in names if (folder := prepared_folder(args.data, name, args.work))}
    ours = Ours(args.program, str(corpus))
    if not args.json:
        print(made, end="", flush=True)
    rows = [measure(name, folder, ours, documents, args) for name, folder in folders.items()]
    growth = []
    if not args.no_growth:
        chosen = [name for name in folders if args.only or name in GROWTH_NAMES]
        growth = [row for name in chosen for row in growth_of(args.program, name, folders[name])]
    if args.json:
        print(json.dumps({"corpus": made.strip(), "encode": rows, "growth": growth}, indent=1))
        return 0
    print_rows(rows)
    if growth:
        print_growth(growth)
    return 1 if any(row.get("ids_equal_hf") is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
