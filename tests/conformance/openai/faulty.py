"""A proxy that stands before a correct server and spoils one thing, so that the suite can be seen to notice.

  python3 tests/conformance/openai/faulty.py URL FAULT [--port 0]      serves until it is ended
  python3 tests/conformance/openai/faulty.py --list
"""
import http.server
import json
import sys
import threading

from faults import FAULTS
from wire import Wire


class Exchange:
    """One request and its answer, which a fault may change before they go on."""

    def __init__(self, method, path, body):
        self.method, self.path, self.body = method, path, body
        self.reply = None
        self.status, self.headers, self.answer = 0, [], b""

    def fields(self):
        """The request's object, or None."""
        try:
            fields = json.loads(self.body)
        except ValueError:
            return None
        return fields if isinstance(fields, dict) else None

    def set_fields(self, fields):
        self.body = json.dumps(fields).encode()

    @property
    def streams(self):
        return any(name == "content-type" and value.startswith("text/event-stream") for name, value in self.headers)

    def object(self):
        """The answer's object, or None."""
        try:
            return None if self.streams else json.loads(self.answer)
        except ValueError:
            return None

    def set_object(self, value):
        self.answer = json.dumps(value).encode()

    def events(self):
        return [part for part in self.answer.split(b"\n\n") if part]

    def set_events(self, events):
        self.answer = b"".join(event + b"\n\n" for event in events)

    def typed_events(self):
        """The objects of a stream whose events have types."""
        return [json.loads(line[6:]) for line in self.answer.split(b"\n") if line.startswith(b"data: ")]

    def set_typed_events(self, objects):
        self.set_events([f"event: {one['type']}\ndata: {json.dumps(one)}".encode() for one in objects])

    def chunks(self):
        return [json.loads(event[6:]) for event in self.events() if event.startswith(b"data: {")]

    def set_chunks(self, chunks):
        self.set_events([b"data: " + json.dumps(chunk).encode() for chunk in chunks] + [b"data: [DONE]"])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream, fault = None, None  # set on the class made for each proxy

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        exchange = Exchange(self.command, self.path, body)
        self.fault.before(exchange)
        headers = {name: self.headers.get(name) for name in ("Authorization", "x-api-key", "Accept", "Content-Type")}
        if exchange.body:
            headers["Content-Length"] = len(exchange.body)
        reply = self.upstream.request(exchange.method, exchange.path, exchange.body, headers)
        exchange.status, exchange.answer = reply.status, reply.body
        kept = ("content-type", "allow", "x-request-id", "www-authenticate", "retry-after", "date", "content-length")
        exchange.headers = [(name, value) for name, value in reply.headers if name in kept]
        self.fault.after(exchange)
        self.send_response_only(exchange.status)
        streams = exchange.status == 200 and self.command == "POST" and "content-length" not in dict(exchange.headers)
        if streams and self.request_version != "HTTP/1.0":
            exchange.headers.append(("Transfer-Encoding", "chunked"))
            exchange.answer = b"%x\r\n%s\r\n0\r\n\r\n" % (len(exchange.answer), exchange.answer)
        elif self.command != "HEAD" and not streams:
            exchange.headers = [(name, value) for name, value in exchange.headers if name != "content-length"]
            exchange.headers.append(("Content-Length", str(len(exchange.answer) - self.fault.missing_bytes)))
        for name, value in exchange.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" or self.fault.head_has_body:
            self.wfile.write(exchange.answer or b"{}")

    do_GET = do_POST = do_HEAD = do_DELETE = relay

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the test


class Proxy:
    """Serves on a free port until close()."""

    def __init__(self, url, fault, port=0):
        handler = type("FaultyHandler", (Handler,), {"upstream": Wire(url), "fault": fault})
        self.server = Quiet(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def main():
    if "--list" in sys.argv:
        for name, fault in FAULTS.items():
            print(f"{name:<28} {fault.sentence}")
        return
    port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
    with Proxy(sys.argv[1], FAULTS[sys.argv[2]], port) as proxy:
        print(proxy.url, flush=True)
        proxy.thread.join()


if __name__ == "__main__":
    main()
