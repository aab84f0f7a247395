"""Runs the corbel command for the tests of this folder: their first argument names it, the second the source folder."""

import mmap
import os
import pathlib
import subprocess
import sys

CORBEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
PICO = SOURCE / "share/pico"
DATA = pathlib.Path(os.environ.get("CORBEL_TEST_DATA", SOURCE.parent / "shared/data"))
HAS_PICO = (PICO / "model.safetensors").exists()


def sanitizer():
    """Whether the command was built with one: it is slower then, and its addresses are no measure of its memory."""
    with open(CORBEL, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        return any(program.find(name) >= 0 for name in (b"__tsan_init", b"__asan_init"))


SANITIZED = sanitizer()
PATIENCE = 10 if SANITIZED else 1  # times the bounds on waiting


def run(*words, text=None, environment=None, timeout=60):
    clean = {k: v for k, v in os.environ.items() if k not in ("HF_MODEL", "LLAMA_DIR", "HF_HOME", "HF_HUB_CACHE")}
    clean.update(environment or {})
    data = text if isinstance(text, bytes) or text is None else text.encode()
    done = subprocess.run([CORBEL, *words], input=data, stdin=subprocess.DEVNULL if text is None else None,
                          capture_output=True, env=clean, timeout=timeout * PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()
