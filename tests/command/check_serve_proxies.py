"""corbel serve behind nginx and HAProxy, with the configurations in deploy/: streams pass as they come, who goes away cancels.

  usage: check_serve_proxies.py CORBEL SOURCE_FOLDER
"""
import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from runner import HAS_PICO, SOURCE
from served import Served, dechunked, said


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


class Behind(Served):
    """The server, with a proxy's port for those who connect."""

    def connect(self, timeout=60):
        return socket.create_connection(("127.0.0.1", self.front), timeout=timeout)


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Proxies(unittest.TestCase):
    def check(self, command, config, replace):
        server, front = Behind(), free_port()
        server.front = front
        with tempfile.TemporaryDirectory() as folder, server:
            text = (SOURCE / "deploy" / config).read_text().replace("8000", str(server.port))
            for old in replace:
                self.assertIn(old, text)
                text = text.replace(old, old.replace("8080", str(front)))
            file = pathlib.Path(folder, config)
            file.write_text(text)
            proxy = subprocess.Popen([word.replace("FOLDER", folder).replace("FILE", str(file)) for word in command], stderr=subprocess.PIPE, text=True)
            try:
                self.wait_for_port(front, proxy)
                self.streams_pass_as_they_come(server)
                self.who_goes_away_cancels(server)
            finally:
                proxy.terminate()
                proxy.communicate(timeout=20)

    def wait_for_port(self, port, proxy):
        for _ in range(500):
            with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                if b" 200 " in connection.recv(4096):
                    return
            self.assertIsNone(proxy.poll(), "the proxy has ended")
            time.sleep(0.02)
        self.fail("the proxy does not answer")

    def streams_pass_as_they_come(self, server):
        fields = {"max_tokens": 200, "min_tokens": 200, "ignore_eos": True, "seed": 3, "temperature": 0.7, "stream": True}
        direct = said(server.chat(**fields)[1])
        with contextlib.closing(server.connect()) as others, contextlib.closing(server.connect()) as connection:
            server.send_chat(others, max_tokens=1900, min_tokens=1900, ignore_eos=True, n=14)  # company, so that a step takes a while
            self.assertTrue(server.wait_for("vllm:num_requests_running", 14))
            server.send_chat(connection, **fields)
            pieces, text = [], b""
            while not text.endswith(b"0\r\n\r\n"):
                pieces.append(connection.recv(65536))
                self.assertTrue(pieces[-1])
                text += pieces[-1]
        self.assertTrue(server.wait_for("vllm:num_requests_running", 0))
        events = text.count(b"data: ")
        self.assertGreater(events, 20)
        self.assertGreater(len(pieces), events / 4, "events were held back until many could go together")
        self.assertEqual(said(dechunked(text.partition(b"\r\n\r\n")[2])), direct)

    def who_goes_away_cancels(self, server):
        for stream in (True, False):
            connection = server.connect()
            server.send_chat(connection, max_tokens=1500, min_tokens=1500, ignore_eos=True, stream=stream)
            self.assertTrue(server.wait_for("vllm:num_requests_running", 1))
            connection.close()
            self.assertTrue(server.wait_for("vllm:num_requests_running", 0))
        self.assertEqual(server.metric("vllm:request_success_total", finished_reason="abort"), 16)

    @unittest.skipUnless(program("nginx"), "nginx is not installed")
    def test_nginx(self):
        self.check([program("nginx"), "-p", "FOLDER", "-c", "FILE", "-g", "daemon off;"], "nginx.conf", ["listen 8080"])

    @unittest.skipUnless(program("haproxy"), "haproxy is not installed")
    def test_haproxy(self):
        self.check([program("haproxy"), "-f", "FILE"], "haproxy.cfg", ["bind 127.0.0.1:8080"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
