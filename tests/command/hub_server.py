"""A hub of one's own for tests: a model repository behind the addresses of the Hugging Face hub, on a free port, with faults."""

import hashlib
import http.server
import json
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Serves `files` (path to bytes) as ORG/NAME. Large files ("large" paths) are redirected to a second server, as to a CDN.

    What may be set: token (needed to see anything), gated, cut (path to number of bytes after which the connection breaks, once for
    each entry of the list), status (path to a list of statuses to answer first), lies (path to other bytes of the same length),
    hold (path to an Event: half of the file, then wait), no_ranges, no_hashes, extra (more entries of the list of files).
    """

    def __init__(self, files, large=("model.safetensors",)):
        self.files, self.large = dict(files), set(large)
        self.token = None
        self.gated = self.no_ranges = self.no_hashes = False
        self.cut, self.status, self.lies, self.hold, self.extra = {}, {}, {}, {}, []
        self.seen = []        # (server, method, path, headers)
        self.sent_bytes = 0   # of files
        self.lock = threading.Lock()
        self.cdn = self._serve("cdn")
        self.hub = self._serve("hub")

    def _serve(self, name):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_name = name

            def log_message(self, *_):
                pass

            def do_GET(self):
                owner.answer(self)

            do_HEAD = do_GET

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # clients that were killed
                pass

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.hub.server_address[1]}"

    def close(self):
        for hold in self.hold.values():
            hold.set()
        for server in (self.hub, self.cdn):
            server.shutdown()
            server.server_close()

    def requests(self, part):
        return [one for one in self.seen if part in one[2]]

    # What follows runs on the servers' threads.

    def answer(self, request):
        path = urllib.parse.unquote(urllib.parse.urlparse(request.path).path)
        with self.lock:
            self.seen.append((request.server_name, request.command, request.path, dict(request.headers)))
            statuses = next((s for name, s in self.status.items() if path.endswith(name) and s), None)
            status = statuses.pop(0) if statuses else None
        if status:
            return self.send(request, status, b"no", {"retry-after": "0"} if status in (429, 503) else {})
        if request.server_name == "cdn":
            return self.send_file(request, path[1:])
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return self.send(request, 401, b"no", {"x-error-code": "RepoNotFound", "x-error-message": "Repository not found"})
        if self.gated:
            return self.send(request, 403, b"no", {"x-error-code": "GatedRepo", "x-error-message": "Access is restricted"})
        if path.startswith("/api/models/org/net/revision/"):
            return self.send_list(request, path.rsplit("/revision/", 1)[1])
        prefix = f"/org/net/resolve/{COMMIT}/"
        name = path[len(prefix):]
        if not path.startswith(prefix) or name not in self.files:
            code = "EntryNotFound" if path.startswith(prefix) else "RepoNotFound"
            return self.send(request, 404, b"no", {"x-error-code": code})
        if name in self.large:
            return self.send(request, 302, b"over there", {
                "location": f"http://127.0.0.1:{self.cdn.server_address[1]}/{urllib.parse.quote(name)}?signature=s3cr3t",
                "x-linked-etag": f'"{hashlib.sha256(self.files[name]).hexdigest()}"', "x-linked-size": str(len(self.files[name])),
                "x-repo-commit": COMMIT})
        return self.send_file(request, name)

    def send(self, request, status, body, headers):
        request.send_response(status)
        for key, value in headers.items():
            request.send_header(key, value)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def send_list(self, request, revision):
        if revision not in ("main", "v1", "refs/pr/1", COMMIT):
            return self.send(request, 404, b"no", {"x-error-code": "RevisionNotFound"})
        siblings = []
        for name, data in self.files.items():
            entry = {"rfilename": name}
            if not self.no_hashes:
                entry |= {"size": len(data), "blobId": git_blob(data)}
                if name in self.large:
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        body = json.dumps({"id": "org/net", "sha": COMMIT, "siblings": siblings + self.extra}).encode()
        self.send(request, 200, body, {"content-type": "application/json"})

    def send_file(self, request, name):
        data = self.lies.get(name, self.files[name])
        begin = 0
        asked = request.headers.get("range")
        if asked and not self.no_ranges:
            begin = int(asked.removeprefix("bytes=").split("-")[0])
            if begin >= len(data):
                return self.send(request, 416, b"", {"content-range": f"bytes */{len(data)}"})
        request.send_response(206 if asked and not self.no_ranges else 200)
        if asked and not self.no_ranges:
            request.send_header("content-range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        request.send_header("etag", f'"{git_blob(self.files[name])}"')
        request.send_header("content-length", str(len(data) - begin))
        request.end_headers()
        if request.command == "HEAD":
            return
        end = len(data)
        with self.lock:
            cuts = self.cut.get(name)
            if cuts:
                end = min(end, begin + cuts.pop(0))
        if name in self.hold and not self.hold[name].is_set():
            middle = begin + (end - begin) // 2
            self.write(request, data[begin:middle])
            self.hold[name].wait(60)
            begin = middle
        self.write(request, data[begin:end])
        if end < len(data):
            request.close_connection = True
            request.connection.close()

    def write(self, request, data):
        for at in range(0, len(data), 65536):
            piece = data[at:at + 65536]
            request.wfile.write(piece)
            request.wfile.flush()
            with self.lock:
                self.sent_bytes += len(piece)


def wait_until(condition, seconds=30):
    """True as soon as `condition()` is; False after that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
