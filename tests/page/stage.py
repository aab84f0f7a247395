"""A stage for tests of the page: a real `corbel serve` behind a small server that passes everything on, but for the addresses that a
test answers itself: slowly, wrongly, or not at all."""

import atexit
import http.client
import http.server
import json
import socket
import subprocess
import threading


class Corbel:
    """A server of the built-in model on a free port."""

    def __init__(self, program, *flags):
        self.process = subprocess.Popen([program, "serve", "--port", "0", "--threads", "2", *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)  # whatever becomes of the tests
        line = ""
        while "serving" not in line:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"the server ended with {self.process.wait()}")
        self.port = int(line.split("127.0.0.1:")[1].split()[0])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


class Stage:
    """`answers`: path to a function of the request (a BaseHTTPRequestHandler with `.text`, its body), which writes the answer."""

    def __init__(self, port):
        stage = self
        self.port_behind = port
        self.answers = {}
        self.seen = []  # (method, path, headers, body)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.text = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                stage.seen.append((self.command, self.path, dict(self.headers), self.text))
                answer = stage.answers.get(self.path)
                try:
                    answer(self) if answer else stage.pass_on(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_POST = do_GET

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def pass_on(self, request):
        connection = http.client.HTTPConnection("127.0.0.1", self.port_behind, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(request.command, request.path, request.text or None, headers)
        response = connection.getresponse()
        request.send_response(response.status)
        streams = response.getheader("content-type", "").startswith("text/event-stream")
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                request.send_header(name, value)
        if streams:
            request.close_connection = True
            request.send_header("connection", "close")
            request.end_headers()
            while piece := response.read1(65536):
                request.wfile.write(piece)
                request.wfile.flush()
        else:
            body = response.read()
            request.send_header("content-length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        connection.close()


def give_json(request, status, value, headers=()):
    body = json.dumps(value).encode()
    request.send_response(status)
    request.send_header("content-type", "application/json")
    request.send_header("content-length", str(len(body)))
    for name, text in headers:
        request.send_header(name, text)
    request.end_headers()
    request.wfile.write(body)


def hang_up(request):
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def give_error(status, message, param=None):
    return lambda request: give_json(request, status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}},
                                     [("x-request-id", "req_17")])


class Stream:
    """An answer in pieces that the test hands out. `gone`: set when the browser went away."""

    def __init__(self):
        self.pieces, self.ready, self.gone = [], threading.Condition(), threading.Event()

    def __call__(self, request):
        request.close_connection = True
        request.send_response(200)
        request.send_header("content-type", "text/event-stream")
        request.send_header("connection", "close")
        request.end_headers()
        try:
            while True:
                with self.ready:
                    while not self.pieces:
                        if not self.ready.wait(0.05):
                            break
                    piece = self.pieces.pop(0) if self.pieces else ": still here\n\n"
                if piece is None:
                    return
                request.wfile.write(piece.encode())
                request.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.gone.set()

    def put(self, piece):
        with self.ready:
            self.pieces.append(piece)
            self.ready.notify()

    def delta(self, finish=None, receipt=None, **delta):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        if receipt:
            choice["receipt"] = receipt
        self.put("data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice]}) + "\n\n")

    def end(self, finish="stop", tokens=7, **more):
        self.delta(finish=finish, **more)
        self.put("data: " + json.dumps({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}}) + "\n\n")
        self.put("data: [DONE]\n\n")
        self.put(None)


def whole_answer(text, **end):
    stream = Stream()
    stream.delta(role="assistant", content="")
    stream.delta(content=text)
    stream.end(**end)
    return stream
