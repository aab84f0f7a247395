"""Runs every `$ curl` line of README.md and docs/*.md against a server and compares the answer's shape with what stands below it.

  usage: check_docs.py CORBEL SOURCE_FOLDER

An example is an indented line, or one of a code block, that begins with `$ curl`; it goes on over lines that end with a backslash or
inside quotation marks. What follows up to the next `$` or the block's end is its output: JSON must have the same members, nested ones,
too, and the same types; an event stream must have the same kinds of lines; what `head -c` cuts off must begin alike. Ports of 127.0.0.1 and localhost become the server's.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from serving import Server, skip

CORBEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])


class Example:
    def __init__(self, place, command):
        self.place, self.command, self.output = place, command, []


def is_open(command):
    """Whether a shell would go on reading."""
    plain = re.sub(r"\\.", "", command, flags=re.DOTALL)
    return command.endswith("\\") or plain.count("'") % 2 == 1


def examples_of(path):
    found, current = [], None
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced, current = not fenced, None
            continue
        if not (fenced or line.startswith("    ")):
            current = None
            continue
        text = line if fenced else line[4:]
        if current is not None and is_open(current.command):
            current.command += "\n" + text
        elif text.startswith("$ "):
            current = None
            if text.startswith("$ curl "):
                current = Example(f"{path.name}:{number}", text[2:])
                found.append(current)
        elif current is not None:
            current.output.append(text)
    return found


def shape(value):
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def difference(documented, found, path="answer"):
    """Where two shapes differ; empty when they do not. A list that is empty in one of them agrees with any."""
    if isinstance(documented, dict) and isinstance(found, dict):
        if set(documented) != set(found):
            return f"{path} has the members {sorted(found)}, the page shows {sorted(documented)}"
        return next((text for key in documented if (text := difference(documented[key], found[key], f"{path}.{key}"))), "")
    if isinstance(documented, list) and isinstance(found, list):
        return difference(documented[0], found[0], path + "[0]") if documented and found else ""
    return "" if documented == found else f"{path} is {found}, the page shows {documented}"


@unittest.skipUnless((SOURCE / "share/pico/model.safetensors").exists(), "no built-in model in this tree")
class Examples(unittest.TestCase):
    def run_example(self, example, server):
        command = re.sub(r"(127\.0\.0\.1|localhost):\d+", f"127.0.0.1:{server.port}", example.command)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{example.place}: {example.command}\n{done.stderr}")
        self.assertTrue(done.stdout.strip() or "-o" in command.split(), f"{example.place}: {example.command} printed nothing")
        documented = "\n".join(example.output).strip()
        try:
            wanted = json.loads(documented)
        except ValueError:
            if not documented:
                self.assertNotRegex(done.stdout, r'"error": ?[^n ]', f"{example.place}: {example.command}")
            if documented.startswith("{") and "head -c" not in command:
                self.fail(f"{example.place}: what the page shows is no JSON: {documented[:200]}")
            if documented.startswith("data: "):
                self.assertTrue(done.stdout.startswith("data: "), f"{example.place}: {done.stdout[:200]}")
            if "head -c" in command:
                self.assertEqual(documented[:40], done.stdout[:40], f"{example.place}: {example.command}")
            return
        self.assertEqual("", difference(shape(wanted), shape(json.loads(done.stdout))), f"{example.place}: {example.command}")

    def test_every_curl_line_of_the_pages_does_what_they_say(self):
        pages = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
        examples = [example for page in pages for example in examples_of(page)]
        self.assertTrue(examples, "no page has a `$ curl` line")
        with Server(CORBEL, key=None) as server:
            for example in examples:
                with self.subTest(place=example.place):
                    self.run_example(example, server)
        print(f"{len(examples)} examples", file=sys.stderr)

    def test_shapes_that_differ_are_told(self):
        self.assertEqual("", difference(shape({"a": [1], "b": "x"}), shape({"a": [], "b": "y"})))
        self.assertIn("answer.a[0] is str", difference(shape({"a": [1]}), shape({"a": ["x"]})))
        self.assertIn("members", difference(shape({"a": 1}), shape({"a": 1, "b": 2})))


if __name__ == "__main__":
    if not shutil.which("curl"):
        sys.exit(skip("no curl on this machine (Debian: curl)"))
    unittest.main(argv=sys.argv[:1])
