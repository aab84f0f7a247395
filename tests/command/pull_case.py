"""What tests of `corbel pull` have in common: a home folder and a hub of their own for each test."""

import hashlib
import os
import pathlib
import random
import resource
import subprocess
import tempfile
import unittest

from hub_server import COMMIT, Hub
from runner import CORBEL

TOKEN = "hf_7oPsEcReT0123456789abcdefghij"
MB = 1 << 20


def weights(megabytes, seed=1):
    return random.Random(seed).randbytes(megabytes * MB)


class PullCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.home = pathlib.Path(self.folder.name)
        self.cache = self.home / ".cache/huggingface/hub"
        self.repository = self.cache / "models--org--net"
        self.blobs = self.repository / "blobs"
        self.data = weights(8)
        self.hub = Hub({"config.json": b"{}", "tokenizer.json": b'{"a": 1}', "model.safetensors": self.data,
                        "1_Pooling/config.json": b'{"p": 1}', "README.md": b"read me", "empty.txt": b""})
        self.output = ""

    def tearDown(self):
        self.hub.close()
        self.folder.cleanup()
        # Whatever happens in a test: no secret is shown.
        self.assertNotIn(TOKEN, self.output)
        self.assertNotIn("s3cr3t", self.output)

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "XDG_", "http", "HTTP"))}
        return keep | {"HOME": str(self.home), "HF_ENDPOINT": self.hub.endpoint, "CORBEL_LOG": "debug"} | more

    def pull(self, *words, limit_bytes=None, repository="org/net", **environment):
        def limit():
            if limit_bytes:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        done = subprocess.run([CORBEL, "pull", repository, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.environment(**environment), timeout=120, preexec_fn=limit)
        self.output += done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def start(self, *words):
        return subprocess.Popen([CORBEL, "pull", "org/net", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment())

    def partial(self):
        """Bytes of the weights that are there, not whole yet."""
        found = self.blobs / (hashlib.sha256(self.data).hexdigest() + ".incomplete")
        return found.stat().st_size if found.exists() else 0

    def assert_whole(self, name="model.safetensors"):
        self.assertEqual((self.repository / "snapshots" / COMMIT / name).read_bytes(), self.hub.files[name])
        self.assertEqual(list(self.blobs.glob("*.incomplete")), [])

    def assert_nothing_published(self):
        self.assertFalse((self.repository / "snapshots").exists())
        self.assertFalse((self.repository / "refs").exists())
