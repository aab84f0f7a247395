"""corbel serve for longer: what connections cost, plain and with TLS, and 10,000 requests of all kinds in a row.

  usage: check_serve_soak.py CORBEL SOURCE_FOLDER
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from runner import CORBEL, HAS_PICO, SOURCE
from served import self_signed


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Memory(unittest.TestCase):
    def measure(self, *flags):
        done = subprocess.run([sys.executable, "-B", str(SOURCE / "bench/serve_connections.py"), CORBEL, *flags], capture_output=True, text=True, timeout=500)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_connections_stay_under_64_kib_and_ten_thousand_requests_leave_nothing(self):
        self.measure("--idle", "2000", "--streaming", "500", "--requests", "10000")

    @unittest.skipUnless(shutil.which("openssl"), "no openssl command to make certificates with")
    def test_so_they_do_with_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = self_signed(pathlib.Path(folder), "one")
            self.measure("--idle", "2000", "--streaming", "500", "--requests", "10000", "--tls", str(certificate), str(key))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
