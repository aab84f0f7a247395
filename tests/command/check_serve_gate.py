"""What a request to corbel serve passes first: keys, limits, origins.

  usage: check_serve_gate.py CORBEL SOURCE_FOLDER
"""
import base64
import contextlib
import json
import pathlib
import re
import signal
import sys
import tempfile
import time
import unittest

from runner import HAS_PICO, run
from served import Served, ServedCase, dechunked, read_all, said

SHAPE = {"message", "type", "param", "code"}
PATHS = [("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/version"), ("GET", "/nowhere"), ("POST", "/v1/chat/completions"), ("POST", "/chat"),
         ("POST", "/tokenize"), ("OPTIONS", "/v1/models"), ("HEAD", "/v1/models")]
LONG = {"max_tokens": 1500, "min_tokens": 1500, "ignore_eos": True, "stream": True}


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Keys(unittest.TestCase):
    def test_every_path_but_health_asks_for_one_however_it_is_sent(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
            file.write("secret-one\n\nsecret-two\n")
            file.flush()
            with Served("--api_key_file", file.name, environment={"CORBEL_API_KEY": "secret-three"}) as server:
                self.assertEqual(server.request("GET", "/health")[0], 200)
                for method, path in PATHS:
                    status, answer, headers = server.request(method, path)
                    self.assertEqual(status, 401, path)
                    self.assertIn("x-request-id", headers)
                    self.assertEqual(headers["www-authenticate"], "Bearer")
                    if method != "HEAD":
                        self.assertEqual(set(answer["error"]), SHAPE)
                basic = base64.b64encode(b"me:secret-two").decode()
                status, answer, _ = server.request("POST", "/v1/messages", {})
                self.assertEqual((status, answer["type"], answer["error"]["type"]), (401, "error", "authentication_error"))
                for headers, status in (({"Authorization": "Bearer secret-one"}, 200), ({"authorization": "bearer secret-three"}, 200),
                                        ({"x-api-key": "secret-two"}, 200), ({"api-key": "secret-two"}, 200), ({"Authorization": f"Basic {basic}"}, 200),
                                        ({"Authorization": "Basic !!!"}, 401), ({"Authorization": "Basic bWU="}, 401), ({"Authorization": "Bearer"}, 401),
                                        ({"Authorization": "Bearer secret-on"}, 401), ({"Authorization": "Bearer secret-one2"}, 401), ({"Authorization": "Bearer "}, 401),
                                        ({"Authorization": "Bearer secret-one\x00"}, 400), ({"Authorization": "secret-one"}, 401)):
                    self.assertEqual(server.request("GET", "/v1/models", headers=headers)[0], status, headers)
                self.assertIn("Basic realm", server.request("GET", "/v1/models", headers={"Accept": "text/html"})[2]["www-authenticate"])

    def test_are_read_again_on_sighup(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "keys")
            file.write_text("old\n")
            with Served("--api-key-file", str(file)) as server:
                file.write_text("new\n")
                server.send_signal(signal.SIGHUP)
                self.assertTrue(server.wait_for_line("read keys"))
                self.assertEqual(server.request("GET", "/v1/models", headers={"x-api-key": "old"})[0], 401)
                self.assertEqual(server.request("GET", "/v1/models", headers={"x-api-key": "new"})[0], 200)

    def test_are_needed_where_others_can_reach_the_server(self):
        for host in ("0.0.0.0", "::"):
            code, _, errors = run("serve", "--host", host, "--port", "0")
            self.assertEqual(code, 2)
            self.assertIn("--insecure", errors)
        for flags, environment in ((["--insecure"], {}), ([], {"CORBEL_API_KEY": "k"})):
            with Served("--host", "0.0.0.0", *flags, environment=environment) as server:
                self.assertEqual(server.request("GET", "/health")[0], 200)
        code, _, errors = run("serve", "--api-key-file", "/nowhere/keys")
        self.assertEqual(code, 1)
        self.assertIn("/nowhere/keys", errors)

    def test_keep_their_prefixes_apart(self):
        with Served(environment={"CORBEL_API_KEY": "one\ntwo"}) as server:
            messages = [{"role": "user", "content": "A long story that is told again and again. " * 12}]
            cached = []
            for key in ("one", "one", "two", "two"):
                answer = server.request("POST", "/v1/chat/completions", {"messages": messages, "max_tokens": 2}, {"x-api-key": key})[1]
                cached.append(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
            self.assertEqual(cached[0], 0)
            self.assertGreater(cached[1], 0)
            self.assertEqual(cached[2], 0)
            self.assertEqual(cached[3], cached[1])


class Requests(ServedCase):
    FLAGS = ("--max-body-bytes", "100000", "--max-header-bytes", "8192", "--max-json-depth", "8", "--max-prompt-tokens", "60", "--receive-timeout", "1",
             "--cors-origin", "https://good.example", "--cors-origin", "https://better.example")

    def test_have_a_number(self):
        for given, kept in (("abc-1.2:X_y", True), ("x" * 128, True), ("x" * 129, False), ('a"b', False), ("", False), ("a b", False)):
            _, _, headers = self.server.request("GET", "/health", headers={"x-request-id": given})
            self.assertEqual(headers["x-request-id"] == given, kept, given)
            self.assertTrue(headers["x-request-id"])
        numbers = {self.server.request("GET", "/health")[2]["x-request-id"] for _ in range(20)}
        self.assertEqual(len(numbers), 20)

    def refused(self, raw, status):
        """The answer, which has OpenAI's shape."""
        answer = self.refusal(raw, status)
        self.assertEqual((set(answer), set(answer["error"])), ({"error"}, SHAPE))
        return answer

    def refusal(self, raw, status):
        with contextlib.closing(self.server.connect(timeout=20)) as connection:
            try:
                connection.sendall(raw)
            except OSError:
                pass
            head, _, body = read_all(connection).partition(b"\r\n\r\n")
        self.assertEqual(head.split()[1:2], [str(status).encode()], head[:200])
        self.assertIn(b"x-request-id: ", head)
        return json.loads(body)

    def test_of_each_api_are_refused_in_its_own_shape(self):
        for path, refused in (("/v1/messages", self.refused_as_message), ("/v1/messages/count_tokens", self.refused_as_message),
                              ("/v1/responses", self.refused), ("/v1/embeddings", self.refused)):
            post = f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode()
            refused(post + b"Content-Length: 100001\r\n\r\n" + b"x" * 100001, 413)
            refused(post + b"Transfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 7, 413)
            refused(post + b"x: " + b"y" * 9000 + b"\r\n\r\n", 431)
            refused(post + b"Content-Length: 50\r\n\r\nhalf", 408)
            refused(post + b"Transfer-Encoding: gzip\r\n\r\n", 501)
            refused(f"POST {path} HTTP/1.1\r\n\r\n".encode(), 400)
            close = b"Connection: close\r\n"
            refused(post + close + b"Content-Length: 2\r\n\r\n[]", 400)
            refused(post + close + b"Content-Length: 1000\r\n\r\n" + b"[" * 1000, 400)
            refused(post.replace(path.encode(), path.encode() + b"/nowhere") + close + b"\r\n", 404)
            refused(post.replace(b"POST", b"PUT") + close + b"\r\n", 405)
            body = json.dumps({"model": "nobody", "input": "", "messages": [], "max_tokens": 1}).encode()
            refused(post + close + f"Content-Length: {len(body)}\r\n\r\n".encode() + body, 404)

    def refused_as_message(self, raw, status):
        """The types are those of Anthropic's page of errors."""
        types = {404: "not_found_error", 413: "request_too_large"}
        answer = self.refusal(raw, status)
        self.assertEqual((set(answer), answer["type"]), ({"type", "error", "request_id"}, "error"))
        self.assertEqual(answer["error"]["type"], types.get(status, "invalid_request_error" if status < 500 else "api_error"))
        self.assertTrue(answer["error"]["message"])
        self.assertTrue(answer["request_id"])

    def test_that_are_too_much_are_refused_in_one_shape(self):
        post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        self.refused(post + b"Content-Length: 100001\r\n\r\n" + b"x" * 100001, 413)
        self.refused(post + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" * 2, 400)
        self.refused(post + b"Transfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 7, 413)
        self.refused(post + b"x: " + b"y" * 9000 + b"\r\n\r\n", 431)
        self.refused(post + b"x: y\r\n" * 2000 + b"\r\n", 431)
        self.refused(b"\x16\x03\x01\x00nonsense\r\n\r\n", 400)
        self.refused(post + b"Content-Length: 18446744073709551616\r\n\r\n", 400)
        self.refused(post + b"Content-Length: 50\r\n\r\nhalf", 408)
        for body in ("[" * 9 + "]" * 9, '{"a":' * 9 + "1" + "}" * 9, "[" * 10000 + "]" * 10000, "[" * 90000):
            status, answer, _ = self.server.request("POST", "/v1/chat/completions", body)
            self.assertEqual((status, answer["error"]["code"]), (400, "too_deep"))
        status, answer, _ = self.server.chat(messages=[{"role": "user", "content": "[" * 20 + '\\"'}], max_tokens=1)
        self.assertEqual(status, 200, answer)
        status, answer, _ = self.server.chat(messages=[{"role": "user", "content": "word " * 100}], max_tokens=1)
        self.assertEqual(status, 400)
        self.assertIn("takes 60", answer["error"]["message"])
        for method, path, status in (("GET", "/nowhere", 404), ("POST", "/v1/models", 405), ("DELETE", "/v1/chat/completions", 405), ("BREW", "/health", 405)):
            found, answer, headers = self.server.request(method, path)
            self.assertEqual(found, status)
            self.assertEqual(set(answer["error"]), SHAPE)
            self.assertEqual("allow" in headers, status == 405)

    def test_that_are_too_large_are_told_so_though_they_go_on_for_seconds(self):
        with contextlib.closing(self.server.connect(timeout=20)) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
            until = time.monotonic() + 4
            while time.monotonic() < until:  # as a slow line does
                connection.sendall(b"x" * 1000)
                time.sleep(0.1)
            self.assertIn(b" 413 ", connection.recv(4096))

    def test_for_the_head_alone_get_no_body(self):
        with contextlib.closing(self.server.connect()) as connection:
            for path, status in (("/v1/models", b"200"), ("/nowhere", b"404"), ("/health", b"200")):
                connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(4096)
                self.assertTrue(head.endswith(b"\r\n\r\n"), head)
                self.assertEqual(head.split()[1], status)
                length = int(re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", head).group(1))
                self.assertEqual(length, len(json.dumps(self.server.request("GET", path)[1], separators=(",", ":"))) if status == b"200" else length)
        status, text, headers = self.server.request("OPTIONS", "/v1/models")
        self.assertEqual((status, text, headers["allow"]), (204, "", "GET, HEAD, OPTIONS"))
        self.assertNotIn("content-length", headers)
        self.assertEqual(self.server.request("OPTIONS", "/nowhere")[0], 404)

    def test_of_other_origins_are_answered_where_they_are_allowed(self):
        for origin, allowed in (("https://good.example", True), ("https://better.example", True), ("https://good.example.evil", False), ("null", False)):
            _, _, headers = self.server.request("GET", "/v1/models", headers={"Origin": origin})
            self.assertEqual(headers.get("access-control-allow-origin"), origin if allowed else None)
            self.assertNotIn("access-control-allow-credentials", headers)
            status, _, headers = self.server.request("OPTIONS", "/v1/chat/completions", headers={"Origin": origin, "Access-Control-Request-Method": "POST",
                                                                                                "Access-Control-Request-Headers": "authorization, x-mine"})
            self.assertEqual(status, 204)
            self.assertEqual(headers.get("access-control-allow-headers"), "authorization, x-mine" if allowed else None)
            body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
            status, _, _ = self.server.request("POST", "/v1/chat/completions", body, {"Origin": origin, "Sec-Fetch-Site": "cross-site"})
            self.assertEqual(status, 200 if allowed else 403)


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Limits(unittest.TestCase):
    def test_a_queue_that_is_full_says_when_to_come_back(self):
        with Served("--max-num-seqs", "1", "--max-queue", "1") as server:
            connections = [server.connect() for _ in range(2)]
            server.send_chat(connections[0], **LONG)
            self.assertTrue(server.wait_for("vllm:num_requests_running", 1))
            server.send_chat(connections[1], **LONG)
            self.assertTrue(server.wait_for("vllm:num_requests_waiting", 1))
            status, answer, headers = server.chat(max_tokens=1)
            self.assertEqual((status, answer["error"]["type"]), (429, "rate_limit_error"))
            self.assertGreater(int(headers["retry-after"]), 0)
            for connection in connections:
                connection.close()
            self.assertTrue(server.wait_for("vllm:num_requests_waiting", 0))

    def test_a_stream_that_has_nothing_to_say_yet_sends_comments(self):
        with Served("--max-num-seqs", "1", "--ping-interval", "1", "--max-model-len", "2048") as server:
            first, second = server.connect(), server.connect()
            server.send_chat(first, **LONG, n=64)  # ends when it is told to, however fast the machine
            self.assertTrue(server.wait_for("vllm:num_requests_running", 1))
            body = {"max_tokens": 5, "temperature": 0, "stream": True}
            server.send_chat(second, **body)
            text = b""
            while text.count(b": ping\n\n") < 2:
                piece = second.recv(4096)
                self.assertTrue(piece, text)
                text += piece
            self.assertNotIn(b"data:", text)
            first.close()
            while not text.endswith(b"0\r\n\r\n"):
                piece = second.recv(4096)
                self.assertTrue(piece, text)
                text += piece
            second.close()
            self.assertEqual(said(dechunked(text.partition(b"\r\n\r\n")[2])), said(server.chat(**body)[1]))

    def test_one_connection_too_many_is_told_so_and_the_others_stay(self):
        with Served("--max-connections", "3") as server:
            kept = [server.connect() for _ in range(3)]
            for connection in kept:  # each is being served for certain
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"200", connection.recv(4096))
            status, answer, headers = server.request("GET", "/health")
            self.assertEqual((status, set(answer["error"])), (503, SHAPE))
            self.assertIn("x-request-id", headers)
            kept.pop().close()
            for connection in kept:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"200", connection.recv(4096))
                connection.close()

    def test_a_rate_is_each_keys_own(self):
        with Served("--requests-per-minute", "3", environment={"CORBEL_API_KEY": "one\ntwo"}) as server:
            for key in ("one", "two"):
                found = [server.chat(headers={"x-api-key": key}, max_tokens=1) for _ in range(5)]
                self.assertEqual([status for status, _, _ in found], [200, 200, 200, 429, 429])
                self.assertGreater(int(found[-1][2]["retry-after"]), 0)
                self.assertEqual(found[-1][1]["error"]["code"], "rate_limit_exceeded")
                self.assertEqual(server.request("GET", "/v1/models", headers={"x-api-key": key})[0], 200)
                status, answer, headers = server.request("POST", "/v1/messages", {}, {"x-api-key": key})
                self.assertEqual((status, answer["type"], answer["error"]["type"]), (429, "error", "rate_limit_error"))
                self.assertGreater(int(headers["retry-after"]), 0)

    def test_a_request_whose_time_is_over_ends_with_what_it_has(self):
        with Served("--max-seconds", "1", "--max-model-len", "2048") as server:
            body = {"max_tokens": 1900, "min_tokens": 1900, "ignore_eos": True, "n": 8}
            answer = server.chat(**body)[1]
            reasons = {choice["finish_reason"] for choice in answer["choices"]}
            self.assertEqual(reasons, {"length"})
            if answer["usage"]["completion_tokens"] < 8 * 1900:
                self.assertIn("time was over", " ".join(answer["warnings"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
