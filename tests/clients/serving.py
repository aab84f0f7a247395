"""A corbel serve for the tests of this folder: the built-in model, one key, a free port."""
import re
import subprocess
import tempfile


def skip(reason):
    """As GoogleTest prints it, which tools/test.py counts and tells at the end."""
    print(f"[==========] 1 test from clients.\nclients: Skipped\n{reason}\n[  PASSED  ] 0 tests.\n[  SKIPPED ] 1 test.")
    return 0


class Server:
    def __init__(self, corbel, *flags, key="sk-client-test-1"):
        self.key, self.keys, options = key, None, []
        if key:
            self.keys = tempfile.NamedTemporaryFile("w", suffix=".keys")
            self.keys.write(key + "\n")
            self.keys.flush()
            options = ["--api-key-file", self.keys.name]
        self.process = subprocess.Popen([corbel, "serve", "--port", "0", "--threads", "2", *options, *flags], stderr=subprocess.PIPE, text=True)
        line = ""
        while "serving" not in line:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"the server ended with {self.process.wait()}")
        self.url = re.search(r"http://[\d.]+:\d+", line)[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stderr.close()
        if self.keys:
            self.keys.close()
        if code != 0:
            raise RuntimeError(f"the server ended with {code}")
