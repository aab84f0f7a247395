#!/usr/bin/env python3
"""bench/compare.py OLD.json NEW.json: what changed between two runs of bench/engine, row by row.

A row's noise is half the spread of its samples in either file. A change is marked when it is larger than the noise of
both together (and 2%): `+` faster, `-` slower. Where the bandwidth or peaks probed beside the rows differ, compare the
fractions of the limit: the machine moves more than most changes do. Exit code 1: a row of ours is marked `-` by both.
"""
import json
import statistics
import sys

KEY = ("shape", "engine", "format", "metric", "tokens", "batch")
LEAST_CHANGE = 0.02


def rows_of(path):
    """{key: row}; where a format was measured in several modes, the fastest."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    rows = {}
    for row in report["rows"]:
        key = tuple(row[part] for part in KEY)
        if key not in rows or row["tok_per_s"] > rows[key]["tok_per_s"]:
            rows[key] = row
    return report, rows


def spread(values):
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def mark(old, new):
    """(ratio, mark) of two lists of samples."""
    ratio = statistics.median(new) / statistics.median(old)
    noise = max(LEAST_CHANGE, spread(old) + spread(new))
    return ratio, "+" if ratio > 1 + noise else "-" if ratio < 1 - noise else " "


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    (old_report, old), (new_report, new) = rows_of(sys.argv[1]), rows_of(sys.argv[2])
    for name, report in (("old", old_report), ("new", new_report)):
        print(f"{name}: {report['date']} {report['commit']} {report['machine']['cpu']}, {report['settings']['threads']} threads")
    if old_report["machine"]["cpu"] != new_report["machine"]["cpu"]:
        print("the machines differ: only ratios between engines mean something")
    print(f"\n{'shape':14} {'engine':10} {'format':20} {'row':16} {'old':>9} {'new':>9} {'ratio':>7}   {'of limit':>9} {'ratio':>7}")
    slower = False
    for key in sorted(set(old) & set(new), key=lambda key: (key[0], key[3] == "decode", key[5], key[4], key[1] != "corbel", key)):
        speed, speed_mark = mark(old[key]["samples"], new[key]["samples"])
        share, share_mark = mark(old[key]["fractions"], new[key]["fractions"])
        shape, engine, form, metric, tokens, batch = key
        print(f"{shape:14} {engine:10} {form:20} {f'{metric} {tokens} x{batch}':16} {old[key]['tok_per_s']:9.1f} "
              f"{new[key]['tok_per_s']:9.1f} {speed:6.2f}x {speed_mark} {new[key]['fraction_of_limit']:9.0%} {share:6.2f}x {share_mark}")
        slower = slower or (engine == "corbel" and speed_mark == "-" and share_mark == "-")
    for name, missing in (("old", set(new) - set(old)), ("new", set(old) - set(new))):
        if missing:
            print(f"{len(missing)} rows are not in the {name} file")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
