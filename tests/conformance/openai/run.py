#!/usr/bin/env python3
"""Scores a server against OpenAI's API, HTTP and server-sent events, as their specifications have them.

  python3 tests/conformance/openai/run.py http://127.0.0.1:8000 [--key K] [--model M] [--json] [--only PATTERN]
    [--server COMMAND]

Python's standard library alone. Cases hold for any model, also one of random weights. Exit code: 0 when every point was made.
"""
import argparse
import json
import signal
import sys
import time

import cases  # fills sheet.AREAS
import sheet
from started import Started
from target import Target


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="with or without /v1")
    parser.add_argument("--key", help="the API key; without one what is said of keys does not count")
    parser.add_argument("--model", help="as requests name it (default: the first of /v1/models)")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--only", default="", metavar="PATTERN", help="cases whose area/name matches this regular expression")
    parser.add_argument("--list", action="store_true", help="the cases and what they cite, without asking the server")
    parser.add_argument("--server", metavar="COMMAND", help="starts it first, and again where a case ends it, which is then lost")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that an answer may take (60)")
    options = parser.parse_args()
    if options.list:
        for area in sheet.AREAS:
            for function, cites in area.cases:
                print(f"{area.name + '/' + function.__name__:<70} {sheet.citation(cites)}")
        return 0
    # Who ends it gets the sheet of what was judged, and a server started here ends, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = Started(options.server, options.url) if options.server else None
    begin = time.monotonic()
    target = Target(options.url, options.key, options.model, options.timeout)
    verdicts = []

    def told(verdict):
        verdicts.append(verdict)
        if sys.stderr.isatty():
            print(f"{verdict.area}/{verdict.name}: {verdict.state}", file=sys.stderr)

    try:
        sheet.run(target, options.only, told, started.revive if started else lambda: None)
    except KeyboardInterrupt:
        print(f"ended after {len(verdicts)} cases", file=sys.stderr)
    finally:
        if started:
            started.stop()
    points, most = sheet.score(verdicts)
    if options.json:
        print(json.dumps({"url": options.url, "points": points, "of": most, "cases": [one.json() for one in verdicts]}, indent=1))
    else:
        print("\n".join(part for part in (sheet.losses(verdicts), sheet.table(verdicts)) if part))
        died = f", the server died {len(started.deaths)} times" if started and started.deaths else ""
        print(f"{points} of {most} points, {len(verdicts)} cases, {time.monotonic() - begin:.1f} s{died}")
    return 0 if points == most else 1


if __name__ == "__main__":
    sys.exit(main())
