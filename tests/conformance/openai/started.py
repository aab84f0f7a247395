"""A server that is started here, and again when it dies."""
import shlex
import subprocess
import time
import urllib.error
import urllib.request


class Started:
    """`command` serves `url`; ready when /health says 200."""

    def __init__(self, command, url, patience=120.0):
        self.command, self.patience, self.deaths = shlex.split(command), patience, []
        self.health = url.rstrip("/").removesuffix("/v1") + "/health"
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begin = time.monotonic()
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() - begin > self.patience:
                self.stop()
                raise SystemExit(f"the server does not come up: {shlex.join(self.command)}")
            time.sleep(0.1)

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.health, timeout=5).status == 200
        except (OSError, urllib.error.URLError):
            return False

    def revive(self):
        """None, or how the process ended; it runs again then."""
        # A process that is about to die of what it was just asked needs a moment to do so.
        try:
            self.process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            return None
        code = self.process.returncode
        self.deaths.append(code)
        self.start()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
