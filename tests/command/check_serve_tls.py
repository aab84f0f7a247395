"""corbel serve over TLS: certificates that change, files that do not belong together, clients that go away.

  usage: check_serve_tls.py CORBEL SOURCE_FOLDER
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import unittest

from runner import HAS_PICO, run
from served import Served, Streams, read_all, self_signed, trusting

LONG = {"max_tokens": 1500, "min_tokens": 1500, "ignore_eos": True, "stream": True}


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
@unittest.skipUnless(shutil.which("openssl"), "no openssl command to make certificates with")
class Tls(unittest.TestCase):
    def test_a_new_certificate_is_taken_without_losing_a_stream(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            first, second = self_signed(folder, "first"), self_signed(folder, "second")
            for at, source in zip(("cert.pem", "key.pem"), first):
                shutil.copy(source, folder / at)
            with Served("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"), tls=trusting(first[0], second[0])) as server:
                self.assertEqual(server.request("GET", "/health")[1], {"status": "ok"})
                held = server.connect()
                with Streams(server, tokens=400):
                    self.assertTrue(server.wait_for("vllm:num_requests_running", 3))
                    for at, source in zip(("cert.pem", "key.pem"), second):
                        shutil.copy(source, folder / "new")
                        os.replace(folder / "new", folder / at)
                    server.send_signal(signal.SIGHUP)
                    self.assertTrue(server.wait_for_line("certificates again"))
                    certificates = [ssl.DER_cert_to_PEM_cert(self.certificate(server)), ssl.DER_cert_to_PEM_cert(held.getpeercert(binary_form=True))]
                    self.assertEqual([text.split() for text in certificates], [path.read_text().split() for path in (second[0], first[0])])
                held.close()
                (folder / "cert.pem").write_text("nonsense")  # the old one goes on
                self.assertTrue(server.wait_for_line("going on with what was there"))
                self.assertEqual(server.request("GET", "/health")[0], 200)
                with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as plain:
                    plain.sendall(b"GET /health HTTP/1.1\r\n\r\n")
                    self.assertNotIn(b"200", read_all(plain))

    def certificate(self, server):
        with contextlib.closing(server.connect()) as connection:
            return connection.getpeercert(binary_form=True)

    def test_files_that_do_not_belong_together_are_refused(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            first, second = self_signed(folder, "first"), self_signed(folder, "second")
            for certificate, key, code in ((first[0], second[1], 1), (first[1], first[1], 1), ("/nowhere", first[1], 1)):
                found, _, errors = run("serve", "--tls-cert", str(certificate), "--tls-key", str(key))
                self.assertEqual(found, code)
                self.assertIn(str(certificate), errors)
            self.assertEqual(run("serve", "--tls-cert", str(first[0]))[0], 2)

    def test_a_client_that_goes_away_frees_its_place(self):
        with tempfile.TemporaryDirectory() as name:
            certificate, key = self_signed(pathlib.Path(name), "one")
            with Served("--tls-cert", str(certificate), "--tls-key", str(key), tls=trusting(certificate)) as server:
                for stream in (True, False):
                    connection = server.connect()
                    server.send_chat(connection, **{**LONG, "stream": stream})
                    self.assertTrue(server.wait_for("vllm:num_requests_running", 1))
                    connection.close()
                    self.assertTrue(server.wait_for("vllm:num_requests_running", 0))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
