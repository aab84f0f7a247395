"""OpenAI's and Anthropic's clients for Node against corbel serve. npm installs it, once, into the build folder.

  usage: check_node.py CORBEL SOURCE_FOLDER BUILD_FOLDER
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

from serving import Server, skip

HERE = pathlib.Path(__file__).resolve().parent / "openai_node"


def installed(folder):
    """Whether the pinned packages are in `folder`, which npm fills when they are not."""
    folder.mkdir(parents=True, exist_ok=True)
    pins = (HERE / "package.json").read_text(encoding="utf-8")
    mark = folder / "installed.json"
    if mark.exists() and mark.read_text(encoding="utf-8") == pins:
        return True
    shutil.copy(HERE / "package.json", folder)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error", "--fetch-retries", "1"],
                          cwd=folder, capture_output=True, text=True, timeout=240)
    if done.returncode != 0:
        print(done.stderr[-1000:], file=sys.stderr)
        return False
    mark.write_text(pins, encoding="utf-8")
    return True


def main():
    corbel, source, build = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    if not (source / "share/pico/model.safetensors").exists():
        return skip("no built-in model in this tree")
    if not shutil.which("node") or not shutil.which("npm"):
        return skip("no node and npm on this machine (Debian: nodejs, npm)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < 20:
        return skip(f"node is {version.strip()}; the client needs 20 or newer")
    folder = build / "openai_node"
    if not installed(folder):
        return skip("npm could not install the client: no registry within reach?")
    tests = sorted(HERE.glob("*.test.mjs"))
    for test in tests:
        shutil.copy(test, folder)
    with Server(corbel) as server:
        done = subprocess.run(["node", "--test", *(test.name for test in tests)], cwd=folder, timeout=300,
                              env={**os.environ, "BASE_URL": server.url + "/v1", "API_KEY": server.key})
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
