"""Servers for the tests of this folder: `corbel serve` on a free port, raw connections, streams to compare."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from runner import CORBEL, HAS_PICO, PATIENCE

QUESTION = [{"role": "user", "content": "What is a KV cache?"}]


class Served:
    """A server; its standard error is read along, as a user's terminal would."""

    def __init__(self, *flags, environment=None, model=(), preexec_fn=None, tls=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CORBEL_") and k not in ("HF_MODEL", "LLAMA_DIR")}
        clean.update(environment or {})
        self.tls = tls
        self.process = subprocess.Popen([CORBEL, "serve", *model, "--port", "0", "--threads", "2", *flags], stderr=subprocess.PIPE, text=True,
                                        env=clean, preexec_fn=preexec_fn)
        self.lines, self.started, self.port = [], threading.Event(), 0
        self.told = threading.Condition()  # of every line
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.started.wait(60 * PATIENCE) or not self.port:
            self.stop(signal.SIGKILL)
            self.process.stderr.close()
            raise RuntimeError(f"the server did not start: {self.lines}")

    def _read(self):
        for line in self.process.stderr:
            with self.told:
                self.lines.append(line.rstrip("\n"))
                self.told.notify_all()
            found = re.search(r"serving .* on https?://[^ ]*:(\d+) after", line)
            if found:
                self.port = int(found.group(1))
                self.started.set()
        self.started.set()

    def connect(self, timeout=60):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=timeout * PATIENCE)
        return self.tls.wrap_socket(plain, server_hostname="127.0.0.1") if self.tls else plain

    def request(self, method, path, body=None, headers=None, timeout=120):
        """(status, parsed body or text, headers)"""
        if self.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE, context=self.tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        try:
            text = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
            connection.request(method, path, text, headers or {})
            response = connection.getresponse()
            answer = response.read()
            kind = response.getheader("content-type", "")
            heads = {name.lower(): value for name, value in response.getheaders()}
            return response.status, json.loads(answer) if kind == "application/json" and answer else answer.decode(), heads
        finally:
            connection.close()

    def chat(self, headers=None, **fields):
        return self.request("POST", "/v1/chat/completions", {"messages": QUESTION, **fields}, headers)

    def send_chat(self, connection, **fields):
        """Sends a chat completion and reads nothing."""
        body = json.dumps({"messages": QUESTION, **fields})
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def metrics(self, headers=None):
        return parse_metrics(self.request("GET", "/metrics", headers=headers)[1])

    def metric(self, name, **labels):
        found = [value for at, has, value in self.metrics() if at == name and labels.items() <= has.items()]
        if len(found) != 1:
            raise KeyError(f"{name} {labels}: {found}")
        return found[0]

    def wait_for(self, name, value, seconds=30, **labels):
        """Until a metric has that value; a bound on time, not a measure of it."""
        until = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < until:
            if self.metric(name, **labels) == value:
                return True
            time.sleep(0.01)
        return False

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait_for_line(self, text, seconds=30):
        with self.told:
            return self.told.wait_for(lambda: any(text in line for line in self.lines), seconds * PATIENCE)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=120 * PATIENCE)
        self.reader.join(timeout=10)
        self.process.stderr.close()
        at = next((i for i, line in enumerate(self.lines) if "Sanitizer" in line or "runtime error:" in line), None)
        assert at is None, "\n".join(self.lines[at:at + 80])
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class ServedCase(unittest.TestCase):
    """Tests that ask one server, `server`, which has `FLAGS`."""
    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Served(*cls.FLAGS)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0


def parse_metrics(text):
    """[(name, labels, value)] of Prometheus' text format; what is none of it raises."""
    result, kinds = [], {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram") and name not in kinds, line
            kinds[name] = kind
        elif not line.startswith("# HELP ") and line:
            found = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+0-9.eE]+|NaN|[+-]Inf)", line)
            assert found, line
            labels = dict(re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', found.group(2) or ""))
            base = re.sub(r"_(bucket|sum|count)$", "", found.group(1))
            assert found.group(1) in kinds or kinds.get(base) == "histogram", f"no TYPE before {line}"
            result.append((found.group(1), labels, float(found.group(3))))
    return result


def events(text):
    """The objects of an event stream, and whether it ended with [DONE]."""
    lines = [line[6:] for line in text.split("\n\n") if line.startswith("data: ")]
    done = bool(lines) and lines[-1] == "[DONE]"
    return [json.loads(line) for line in (lines[:-1] if done else lines)], done


def said(text):
    """What a stream said, by choice: content, finish reason, and the tokens where logprobs were asked for; and whether it ended well."""
    chunks, done = events(text)
    content = {}
    for chunk in chunks:
        for choice in chunk.get("choices", []):
            at = content.setdefault(choice["index"], ["", None, []])
            at[0] += choice["delta"].get("content") or ""
            at[1] = choice["finish_reason"] or at[1]
            at[2] += [(one["token"], one["logprob"]) for one in (choice.get("logprobs") or {}).get("content") or []]
    return content, done


class Streams:
    """Streams that run while something bad happens to others; at the end each must have said what it says alone."""

    def __init__(self, server, count=3, tokens=250, headers=None):
        self.server, self.headers = server, headers
        self.bodies = [{"max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True, "temperature": 0.9, "seed": seed, "stream": True, "logprobs": True} for seed in range(count)]
        self.alone = [said(server.chat(headers=headers, **body)[1]) for body in self.bodies]
        self.results = [None] * count
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(count)]

    def _run(self, at):
        status, text, _ = self.server.chat(headers=self.headers, **self.bodies[at])
        self.results[at] = said(text) if status == 200 else (status, text)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        for thread in self.threads:
            thread.join(120 * PATIENCE)
        if kind is None:
            assert self.results == self.alone, "a stream said something else than it says alone"


def dechunked(chunks):
    """The text of a body in HTTP's chunks."""
    plain = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        plain, chunks = plain + rest[:int(size, 16)], rest[int(size, 16) + 2:]
    return plain.decode()


def read_all(connection):
    """What comes until the other side ends it."""
    text = b""
    try:
        while piece := connection.recv(65536):
            text += piece
    except ConnectionResetError:
        pass
    return text


def self_signed(folder, name):
    """(certificate, key) files of a certificate for 127.0.0.1, made by openssl."""
    certificate, key = folder / f"{name}.cert.pem", folder / f"{name}.key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def trusting(*certificates):
    context = ssl.create_default_context()
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context
