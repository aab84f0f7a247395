"""HTTP/1.1 over a bare socket: what a server really sent, without a library that forgives."""
import json
import socket
import urllib.parse


class WireError(Exception):
    """What came is no HTTP."""


class Reply:
    """One answer. Names of headers in lower case; `body` as sent, chunks joined."""

    def __init__(self, status, version, headers, body, chunks, closed):
        self.status, self.version, self.headers, self.body = status, version, headers, body
        self.chunks = chunks  # how the body came, when it came in chunks
        self.closed = closed  # the connection's end was the body's end

    def header(self, name, fallback=None):
        return next((value for key, value in self.headers if key == name), fallback)

    def json(self):
        return json.loads(self.body, object_pairs_hook=unique_names)


def unique_names(pairs):
    """RFC 8259 section 4: names within an object SHOULD be unique."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise WireError(f"an object names a member twice: {names}")
    return dict(pairs)


class Connection:
    def __init__(self, host, port, timeout=30.0):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        piece = self.socket.recv(65536)
        self.buffer += piece
        return bool(piece)

    def is_closed(self, timeout=5.0):
        """True when the server has closed; False when it says nothing for that long."""
        self.socket.settimeout(timeout)
        try:
            return not self._more()
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise WireError(f"the connection ended within a line: {self.buffer[:80]!r}")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("latin-1")

    def _exactly(self, count):
        while len(self.buffer) < count:
            if not self._more():
                raise WireError(f"the connection ended {count - len(self.buffer)} bytes too early")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _headers(self):
        headers = []
        while line := self._line():
            name, separator, value = line.partition(":")
            if not separator or name != name.strip():
                raise WireError(f"a header line is {line!r}")
            headers.append((name.lower(), value.strip()))
        return headers

    def _chunks(self):
        chunks = []
        while True:
            size = int(self._line().partition(";")[0].strip(), 16)
            if size == 0:
                self._headers()  # trailers
                return chunks
            chunks.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise WireError("a chunk does not end with CRLF")

    def reply(self, method="GET", interim=False):
        """The next answer; with `interim` also one of 1xx."""
        while True:
            version, _, rest = self._line().partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
                raise WireError(f"the status line is {version} {rest}")
            status, headers = int(rest[:3]), self._headers()
            if status >= 200 or interim:
                break
        names = dict(headers)
        chunks, closed = None, False
        if method == "HEAD" or status < 200 or status in (204, 304):
            body = b""
        elif names.get("transfer-encoding", "").lower() == "chunked":
            chunks = self._chunks()
            body = b"".join(chunks)
        elif "content-length" in names:
            body = self._exactly(int(names["content-length"]))
        else:
            while self._more():
                pass
            body, self.buffer, closed = self.buffer, b"", True
        return Reply(status, version, headers, body, chunks, closed)


class Wire:
    """Requests to one base URL, each on a connection of its own."""

    def __init__(self, base_url, key=None, timeout=60.0):
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme != "http":
            raise SystemExit(f"{base_url}: only http:// is spoken here")
        self.host, self.port = parts.hostname, parts.port or 80
        self.prefix = parts.path.rstrip("/").removesuffix("/v1")
        self.key, self.timeout = key, timeout

    def connect(self):
        return Connection(self.host, self.port, self.timeout)

    def head(self, method, path, body=b"", headers=(), version="1.1"):
        """The bytes of a request's head. `headers` replace the usual ones of the same name; a value of None leaves it out."""
        lines = {"Host": f"{self.host}:{self.port}"}
        if self.key:
            lines["Authorization"] = f"Bearer {self.key}"
        if body:
            lines.update({"Content-Type": "application/json", "Content-Length": len(body)})
        lines.update(dict(headers))
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        return f"{method} {self.prefix}{path} HTTP/{version}\r\n{text}\r\n".encode()

    def request(self, method, path, body=b"", headers=(), version="1.1"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.connect() as connection:
            try:
                connection.send(self.head(method, path, data, headers, version) + data)
            except ConnectionError:
                pass  # refused before all of it was sent: the answer is there
            return connection.reply(method)
