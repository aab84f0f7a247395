"""Collects the rows of bench/engine, holds them against the machine's limits and writes tables and JSON."""
import datetime
import json
import os
import pathlib
import statistics
import subprocess

import peers


def git(root, *arguments):
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def machine():
    info = pathlib.Path("/proc/cpuinfo")
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line) if info.exists() else {}
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    wanted = ("avx2", "f16c", "fma", "avx_vnni", "avx512", "amx")
    flags = [flag for flag in fields.get("flags", "").split() if flag.startswith(wanted)]
    huge = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {"cpu": fields.get("model name", "unknown"), "family": fields.get("cpu family"), "model": fields.get("model"),
            "flags": flags, "processors": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "huge_pages": huge.read_text().strip() if huge.exists() else "unknown"}


def limit_of(shape, entry, limits):
    """(tokens per second that the limits allow, which limit). Linear operations at the int8 peak (bf16 for 16-bit formats),
    attention at the bf16 peak; bytes a step must read at the bandwidth of the fastest reader."""
    linear_peak = limits["bf16_ops_per_s" if entry["class"] == "16-bit" else "int8_ops_per_s"]
    if entry["class"] == "32-bit" or linear_peak <= 0:
        linear_peak = limits["f32_ops_per_s"]
    attention_peak = limits["bf16_ops_per_s"] or limits["f32_ops_per_s"]
    tokens, batch = entry["tokens"], entry["batch"]
    if entry["metric"] == "arrive":
        prompt, every = peers.ARRIVE_PROMPT, peers.ARRIVE_PROMPT + tokens
        seconds = ((shape.linear_ops_per_row() * batch * (every - 1) + shape.head_ops_per_row() * batch * tokens) / linear_peak
                   + shape.attention_ops_per_key() * batch * every * (every + 1) / 2 / attention_peak)
        memory = tokens * (entry["read_bytes"] + shape.kv_bytes_per_token() * batch * (prompt + tokens / 2)) / limits["read_bytes_per_s"]
        return tokens * batch / max(seconds, memory), "arithmetic" if seconds > memory else "memory"
    if entry["metric"] == "prefill":
        rows, head_rows, keys, steps, cached = tokens, 1, tokens * (tokens + 1) / 2, 1, 0
    else:
        keys = batch * (tokens + 1) / 2
        rows, head_rows, steps, cached = batch, batch, tokens, keys
    linear = (shape.linear_ops_per_row() * rows + shape.head_ops_per_row() * head_rows) / linear_peak
    arithmetic = linear + shape.attention_ops_per_key() * keys / attention_peak
    memory = (entry["read_bytes"] + shape.kv_bytes_per_token() * cached) / limits["read_bytes_per_s"]
    return tokens * batch / (steps * max(arithmetic, memory)), "arithmetic" if arithmetic > memory else "memory"


class Record:
    """All figures of one run. A row is one (shape, engine, format, mode, metric, tokens, batch) with a sample per turn."""

    def __init__(self, root, args):
        self.root, self.args, self.rows, self.tried = root, args, {}, []
        self.shapes = {}
        self.begun = datetime.datetime.now(datetime.timezone.utc)

    def start_shape(self, shape):
        self.shapes[shape.name] = shape

    def _add(self, shape, entry, tok_per_s, limits, first_token_s=None):
        key = tuple(entry[part] for part in ("shape", "engine", "format", "mode", "metric", "tokens", "batch"))
        row = self.rows.setdefault(key, {**entry, "samples": [], "fractions": [], "limits": []})
        limit, row["bound"] = limit_of(shape, entry, limits)
        row["samples"].append(tok_per_s)
        row["fractions"].append(tok_per_s / limit)
        row["limits"].append({name: limits[name] for name in ("read_bytes_per_s", "int8_ops_per_s", "bf16_ops_per_s",
                                                              "f32_ops_per_s")})
        row["tok_per_s"] = statistics.median(row["samples"])
        if first_token_s is not None:
            row.setdefault("first_token_samples", []).append(first_token_s)
            row["first_token_s"] = statistics.median(row["first_token_samples"])
        row["fraction_of_limit"] = statistics.median(row["fractions"])

    def add_ours(self, shape, quant, rows, report):
        embedding = 0 if shape.tied else report["weight_bytes"] * shape.hidden * shape.vocab // report["parameters"]
        read_bytes = report.get("step_read_bytes", report["weight_bytes"] - embedding)
        kind = peers.class_of(8 * report["weight_bytes"] / report["parameters"])
        for row, result in zip(rows, report["results"]):
            entry = {"shape": shape.name, "engine": "corbel", "format": quant, "mode": report["profile"], "class": kind,
                     "metric": row.metric, "tokens": row.tokens, "batch": row.batch, "read_bytes": read_bytes}
            self._add(shape, entry, row.tok_per_s, result["limits"], row.first_token_s)

    def add_peer(self, shape, name, form, mode, rows, limits, read_bytes, bits):
        for row in rows:
            entry = {"shape": shape.name, "engine": name, "format": form, "mode": mode, "class": peers.class_of(bits),
                     "metric": row.metric, "tokens": row.tokens, "batch": row.batch, "read_bytes": read_bytes}
            self._add(shape, entry, row.tok_per_s, limits, row.first_token_s)

    def add_tried(self, shape, name, form, mode, row):
        self.tried.append({"shape": shape.name, "engine": name, "format": form, "mode": mode, "metric": row.metric,
                           "tokens": row.tokens, "batch": row.batch, "tok_per_s": row.tok_per_s})

    def of_shape(self, shape):
        return [row for row in self.rows.values() if row["shape"] == shape.name]

    def write(self):
        commit = git(self.root, "rev-parse", "--short=12", "HEAD")
        path = pathlib.Path(self.args.json or self.root / "bench/results" / f"engine-{self.begun:%Y%m%d-%H%M}-{commit}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = {name: value for name, value in vars(self.args).items()
                    if name in ("threads", "prefill", "batch", "decode", "arrive", "repeat", "quant", "peer_formats")}
        report = {"what": "bench/engine", "date": self.begun.isoformat(timespec="seconds"), "commit": commit,
                  "changed_files": bool(git(self.root, "status", "--porcelain", "--untracked-files=no")),
                  "machine": machine(), "settings": settings, "rows": list(self.rows.values()), "tried": self.tried}
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path


def print_table(header, lines):
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    for line in [header, *lines]:
        print("  ".join(cell.ljust(width) if i < 3 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))).rstrip())


def print_tried(record, shape):
    tried = [entry for entry in record.tried if entry["shape"] == shape.name]
    columns = list(dict.fromkeys((entry["metric"], entry["tokens"], entry["batch"]) for entry in tried))
    lines = {}
    for entry in tried:
        line = lines.setdefault((entry["engine"], entry["format"], entry["mode"]), {})
        line[entry["metric"], entry["tokens"], entry["batch"]] = f"{entry['tok_per_s']:.1f}"
    if lines:
        print(f"\n{shape.name}: the peers' settings, each tried once, tok/s")
        print_table(["engine", "format", "mode", *(f"{metric} {tokens} x{batch}" for metric, tokens, batch in columns)],
                    [[*key, *(line.get(column, "-") for column in columns)] for key, line in lines.items()])


def print_shape(record, shape):
    print_tried(record, shape)
    rows = record.of_shape(shape)
    keys = sorted({(row["metric"], row["batch"], row["tokens"]) for row in rows}, key=lambda key: (key[0] == "decode", key))
    lines = []
    for metric, batch, tokens in keys:
        here = [row for row in rows if (row["metric"], row["batch"], row["tokens"]) == (metric, batch, tokens)]
        for row in sorted(here, key=lambda row: (row["engine"] != "corbel", row["class"], -row["tok_per_s"])):
            lines.append([f"{metric} {tokens} x{batch}", row["engine"], f"{row['format']} {row['mode']}",
                          f"{row['tok_per_s']:.1f}", f"{row['first_token_s']:.2f}" if "first_token_s" in row else "", f"{(max(row['samples']) / min(row['samples']) - 1) * 50:.1f}",
                          f"{row['read_bytes'] / 1e6:.0f}",
                          f"{100 * row['fraction_of_limit']:.0f}% {row['bound'][:3]}",
                          f"{statistics.median(one['read_bytes_per_s'] for one in row['limits']) / 1e9:.1f}",
                          *ratios(row, here)])
    print(f"\n{shape.name}, {record.args.threads} threads, medians of {record.args.repeat} turns")
    engines = sorted({row["engine"] for row in rows if row["engine"] != "corbel"})
    print_table(["row", "engine", "format", "tok/s", "first s", "+-%", "MB", "of limit", "GB/s", *(f"/ {name}" for name in engines)],
                [line[:9] + [line[9].get(name, "") for name in engines] for line in lines])


def ratios(row, here):
    """[{peer: ours / that peer's best of the same class}] for our rows."""
    if row["engine"] != "corbel":
        return [{}]
    best = {}
    for other in here:
        if other["engine"] != "corbel" and other["class"] == row["class"]:
            best[other["engine"]] = max(best.get(other["engine"], 0), other["tok_per_s"])
    return [{name: f"{row['tok_per_s'] / value:.2f}x" for name, value in best.items()}]
