#!/usr/bin/env python3
"""Compares grammars with independent judges: Python's jsonschema and re, and the JSON schema test suite.

  usage: judge.py PROBE [--suite FOLDER] [--random N] [--regexes N] [--grammars N] [--seed S] [-v]

Of every schema that compiles: valid instances (with any order of their keys) are accepted and invalid ones are not, and
what random walks through its masks write is valid. Of every regex and every GBNF grammar: full matches, and walks. Prints
what was compared.
"""
import argparse
import collections
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

from judge_gbnf import judge_grammars

warnings.simplefilter("ignore")
SUITES = ("/usr/share/json-schema-test-suite/tests",)
DRAFTS = ("draft2020-12", "draft2019-09", "draft7", "draft6", "draft4")


class Probe:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="surrogateescape")

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"FAILED: the probe died of {question}")
        return json.loads(line)


def canonical(value):
    """Whole floats as integers: a grammar writes 1, not 1.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    return value


def orders(value, limit=120):
    """Texts of a value with its keys in different orders."""
    if isinstance(value, list):
        parts = [orders(item, 12) for item in value]
        return ["[" + ",".join(each) + "]" for each in itertools.islice(itertools.product(*parts), limit)]
    if isinstance(value, dict):
        out = []
        for keys in itertools.islice(itertools.permutations(value), limit):
            parts = [orders(value[key], 12) for key in keys]
            names = [json.dumps(key, ensure_ascii=False) for key in keys]
            for each in itertools.islice(itertools.product(*parts), 12):
                out.append("{" + ",".join(f"{name}:{text}" for name, text in zip(names, each)) + "}")
        return out[: limit * 4]
    return [json.dumps(value, ensure_ascii=False)]


class Judge:
    def __init__(self, probe, verbose):
        import jsonschema
        self.jsonschema, self.probe, self.verbose = jsonschema, probe, verbose
        self.count, self.failures, self.refused = collections.Counter(), [], collections.Counter()

    def fail(self, what):
        self.failures.append(what)
        if len(self.failures) <= 40:
            print("FAILED:", what, flush=True)

    def validator(self, schema, draft):
        kind = {"draft2020-12": self.jsonschema.Draft202012Validator, "draft2019-09": self.jsonschema.Draft201909Validator,
                "draft7": self.jsonschema.Draft7Validator, "draft6": self.jsonschema.Draft6Validator,
                "draft4": self.jsonschema.Draft4Validator}[draft]
        return kind(schema, format_checker=kind.FORMAT_CHECKER)

    def schema(self, schema, draft, cases=(), walks=8, seed=1, where="", flexible=False):
        self.count["schemas"] += 1
        texts = [(case, orders(canonical(case["data"]))) for case in cases]
        flat = [text for _, each in texts for text in each]
        answer = self.probe.ask(kind="json_schema", text=json.dumps(schema), instances=flat, walks=walks, seed=seed, flexible=flexible)
        if "error" in answer:
            self.count["refused"] += 1
            found = re.search(r'keyword "([^"]*)"', answer["error"])
            self.refused[found.group(1) if found else answer["error"][:70]] += 1
            if self.verbose:
                print("refused:", where, answer["error"])
            if "no text satisfies" in answer["error"] and any(case["valid"] for case in cases):
                self.fail(f"{where}: {json.dumps(schema)} has no text, yet valid instances")
            return
        self.count["compiled"] += 1
        if "fault" in answer:
            self.fail(f"{where}: {json.dumps(schema)}: {answer['fault']}")
        at = 0
        for case, each in texts:
            accepted = any(answer["accepted"][at:at + len(each)])
            at += len(each)
            self.count["instances"] += 1
            if accepted != case["valid"]:
                self.fail(f"{where}: {json.dumps(schema)[:300]}: {json.dumps(case['data'])[:100]} is {'accepted' if accepted else 'not accepted'}")
        self.count["given up"] += answer["open"]
        validator = self.validator(schema, draft)
        for text in answer["walks"]:
            self.count["walks"] += 1
            try:
                errors = [error.message for error in validator.iter_errors(json.loads(text)) if not inexact(error)]
            except (ValueError, RecursionError) as error:
                errors = [str(error)]
            except Exception as error:  # a reference that this validator would fetch
                self.count["not judged"] += 1
                continue
            if errors:
                self.fail(f"{where}: {json.dumps(schema)[:300]}: wrote {text[:200]!r}: {errors[0][:200]}")

    def regex(self, pattern, texts, seed):
        self.count["regexes"] += 1
        answer = self.probe.ask(kind="regex", text=pattern, instances=texts, walks=6, seed=seed)
        if "error" in answer:
            if "no text satisfies" not in answer["error"]:
                self.fail(f"regex {pattern!r}: {answer['error']}")
            return
        compiled = re.compile(pattern, re.ASCII)
        for text, accepted in zip(texts, answer["accepted"]):
            if accepted != bool(compiled.fullmatch(text)):
                self.fail(f"regex {pattern!r}: {text!r} is {'accepted' if accepted else 'not accepted'}")
        for text in answer["walks"]:
            self.count["regex walks"] += 1
            if not compiled.fullmatch(text):
                self.fail(f"regex {pattern!r}: wrote {text!r}")


def inexact(error):
    """The validator divides doubles: 0.3 is no multiple of 0.1 to it."""
    if error.validator != "multipleOf":
        return False
    from decimal import Decimal
    return Decimal(repr(error.instance)) % Decimal(repr(error.validator_value)) == 0


def random_string_schema(rng):
    schema = {"type": "string"}
    kind = rng.randrange(5)
    if kind == 0:
        schema["minLength"] = rng.randrange(4)
        schema["maxLength"] = schema["minLength"] + rng.randrange(6)
    elif kind == 1:
        schema["pattern"] = rng.choice(["^[a-z]+$", "^\\d{3}-\\d{4}$", "b", "^(ab|cd)*$", "^[^\"]{2,5}$", "\\.json$", "^\\S+ \\S+$", "^x|y$"])
        if rng.random() < 0.3:
            schema["maxLength"] = 20
    elif kind == 2:
        schema["format"] = rng.choice(["date", "date-time", "time", "email", "uuid", "ipv4", "ipv6", "uri", "hostname", "duration"])
    return schema


def random_number_schema(rng):
    if rng.random() < 0.15:  # bounds that are a few doubles apart
        low = high = rng.choice([1, -1]) * rng.choice([3.0, 2.0**53, 0.1, rng.uniform(0, 100)])
        for _ in range(rng.randrange(2, 6)):
            high = math.nextafter(high, math.inf)
        return {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high}
    schema = {"type": rng.choice(["integer", "number"])}
    low = rng.choice([0, 1, -5, -100, 0.5, -2.25, 17, 1000, 0.001])
    if rng.random() < 0.6:
        schema[rng.choice(["minimum", "exclusiveMinimum"])] = low
    if rng.random() < 0.6:
        schema[rng.choice(["maximum", "exclusiveMaximum"])] = low + rng.choice([1, 3, 10, 99.5, 12345, 2])
    if rng.random() < 0.2:
        schema["multipleOf"] = rng.choice([2, 5, 7, 0.5, 0.01, 10])
    return schema


def random_schema(rng, depth=0, names=("foo", "bar", "baz", "a\"b", "\u00e9t\u00e9", "name", "x y")):
    kind = rng.randrange(10 if depth < 3 else 6)
    if kind <= 1:
        return random_string_schema(rng)
    if kind <= 3:
        return random_number_schema(rng)
    if kind == 4:
        return {"enum": rng.sample([1, 2.5, "foo", "a\nb", None, True, [1], {"k": "v"}, "", "\u20ac"], rng.randrange(1, 5))}
    if kind == 5:
        return rng.choice([{"type": "boolean"}, {"type": "null"}, {"const": "foo"}, {"type": ["string", "null"]}, {"type": ["integer", "boolean"]}])
    if kind == 6:
        schema = {"type": "array"}
        if rng.random() < 0.8:
            schema["items"] = random_schema(rng, depth + 1)
        if rng.random() < 0.3:
            schema["prefixItems"] = [random_schema(rng, depth + 1) for _ in range(rng.randrange(1, 3))]
        if rng.random() < 0.5:
            schema["minItems"] = rng.randrange(3)
        if rng.random() < 0.5:
            schema["maxItems"] = schema.get("minItems", 0) + rng.randrange(4)
        return schema
    if kind == 7:
        options = [random_schema(rng, depth + 1) for _ in range(rng.randrange(1, 4))]
        return {"anyOf": options} if rng.random() < 0.7 else {"allOf": options[:2]}
    schema = {"type": "object", "properties": {name: random_schema(rng, depth + 1) for name in rng.sample(names, rng.randrange(5))}}
    schema["required"] = [name for name in schema["properties"] if rng.random() < 0.5]
    schema["additionalProperties"] = rng.choice([False, False, True, {"type": "integer"}])
    if rng.random() < 0.15:
        schema["maxProperties"] = rng.randrange(1, 4)
    if rng.random() < 0.15:
        schema["minProperties"] = 1
    if rng.random() < 0.2:
        schema["patternProperties"] = {rng.choice(["^f", "a", "[xyz]$"]): random_schema(rng, depth + 1)}
    if rng.random() < 0.1:
        schema["propertyNames"] = {"pattern": "^[a-z]+$"}
    if depth == 0 and rng.random() < 0.3:
        schema["properties"]["again"] = {"$ref": "#"}
    return schema


def random_regex(rng, depth=0):
    kind = rng.randrange(9 if depth < 4 else 4)
    if kind <= 1:
        return rng.choice(["a", "b", "c", "0", "\\.", "\u00e9", "\\n", "-", "\\x41", "\u20ac"])
    if kind == 2:
        return rng.choice(["[abc]", "[^a]", "[a-c0-9]", "\\d", "\\w", "[\\d-]", "[^\\w]", "[\u00e0-\u00ff]", "[]"[:0] + "[b\\]]", "\\D"])
    if kind == 3:
        return rng.choice(["(?:)", "a?", "b*", "c+", "\\d{2}"])
    if kind <= 5:
        return random_regex(rng, depth + 1) + random_regex(rng, depth + 1)
    if kind == 6:
        return "(?:" + random_regex(rng, depth + 1) + "|" + random_regex(rng, depth + 1) + ")"
    return "(" + random_regex(rng, depth + 1) + ")" + rng.choice(["*", "+", "?", "{2}", "{1,3}", "{0,2}?", "{2,}"])


def run_suite(judge, folder):
    for draft in DRAFTS:
        for path in sorted(Path(folder, draft).glob("*.json")) + sorted(Path(folder, draft, "optional", "format").glob("*.json")):
            formats = "format" in path.parts[-2:] or path.parent.name == "format"
            for number, group in enumerate(json.loads(path.read_text(encoding="utf-8"))):
                cases = [case for case in group["tests"] if judged(case, path, draft)]
                if formats:  # formats are written strictly: what is not valid is not accepted, not every valid text is
                    cases = [case for case in cases if not case["valid"] or not isinstance(case["data"], str)]
                judge.schema(group["schema"], draft, cases, where=f"{draft}/{path.name}: {group['description']}", seed=number + 1)


# Instances that a grammar does not write although they are valid, or that drafts disagree about; docs/structured_output.md.
NOT_JUDGED = {
    ("ref.json", "ref valid, maxItems ignored"),                      # draft 7 ignores what stands beside $ref; it is honoured
    ("format.json", None),                                            # formats are annotations there; they are honoured
    ("minProperties.json", None),
}


def judged(case, path, draft):
    if (path.name, case["description"]) in NOT_JUDGED or (path.name == "format.json" and not path.parent.name == "format"):
        return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--suite")
    parser.add_argument("--random", type=int, default=400)
    parser.add_argument("--regexes", type=int, default=600)
    parser.add_argument("--grammars", type=int, default=120)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        print("skipped: Python's jsonschema is not installed (Debian: python3-jsonschema)")
        return 0
    judge = Judge(Probe(args.probe), args.verbose)
    suite = args.suite or os.environ.get("JSON_SCHEMA_TEST_SUITE") or next((path for path in SUITES if Path(path).is_dir()), None)
    if suite:
        run_suite(judge, suite)
    else:
        print("skipped: no JSON schema test suite (Debian: json-schema-test-suite)")
    rng = random.Random(args.seed)
    for number in range(args.random):
        judge.schema(random_schema(rng), "draft2020-12", where=f"random {number}", seed=number + 1, flexible=number % 4 == 0)
    letters = "abc0.\u00e9\n-A\u20ac1]_"
    for number in range(args.regexes):
        texts = ["".join(rng.choice(letters) for _ in range(rng.randrange(6))) for _ in range(30)]
        judge.regex(random_regex(rng), texts, number + 1)
    judge_grammars(judge, rng, args.grammars)
    print(f"seed {args.seed}:", ", ".join(f"{count} {what}" for what, count in judge.count.items()))
    print("refused for:", ", ".join(f"{keyword} {count}" for keyword, count in judge.refused.most_common()))
    print(f"{len(judge.failures)} failures")
    return 1 if judge.failures else 0


if __name__ == "__main__":
    sys.exit(main())
