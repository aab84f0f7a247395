"""corbel serve from outside: OpenAI's chat completions over HTTP, and what goes wrong on the way.

  usage: check_serve.py CORBEL SOURCE_FOLDER
"""
import concurrent.futures
import http.client
import json
import signal
import socket
import sys
import tempfile
import unittest

from runner import HAS_PICO, run
from served import Served, ServedCase, events


class Serve(ServedCase):
    def test_an_answer_is_whole_and_in_pieces_the_same(self):
        status, whole, headers = self.server.chat(max_tokens=40, seed=3, temperature=0.8)
        self.assertEqual(status, 200)
        self.assertTrue(headers["x-request-id"])
        content = whole["choices"][0]["message"]["content"]
        self.assertTrue(content)
        status, text, headers = self.server.chat(max_tokens=40, seed=3, temperature=0.8, stream=True, stream_options={"include_usage": True})
        self.assertEqual((status, headers["content-type"]), (200, "text/event-stream"))
        chunks, done = events(text)
        self.assertTrue(done)
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        joined = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
        self.assertEqual(joined, content)
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])

    def test_many_at_once_say_what_each_says_alone(self):
        bodies = [{"max_tokens": 20 + i % 7, "seed": i, "temperature": 1.0, "n": 1 + i % 2} for i in range(32)]
        alone = [self.server.chat(**body)[1]["choices"] for body in bodies]
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            together = list(pool.map(lambda body: self.server.chat(**body)[1]["choices"], bodies))
        self.assertEqual(together, alone)

    def test_structured_output_is_what_the_schema_says(self):
        schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}, "required": ["a", "b"], "additionalProperties": False}
        _, answer, _ = self.server.chat(max_tokens=100, response_format={"type": "json_schema", "json_schema": {"name": "t", "schema": schema}})
        value = json.loads(answer["choices"][0]["message"]["content"])
        self.assertEqual(set(value), {"a", "b"})
        self.assertIsInstance(value["a"], int)
        self.assertIn(value["b"], ("x", "y"))

    def test_a_client_that_goes_away_frees_its_place(self):
        for stream in (True, False):
            body = json.dumps({"messages": [{"role": "user", "content": "go on"}], "max_tokens": 1500, "min_tokens": 1500, "ignore_eos": True, "stream": stream})
            connection = socket.create_connection(("127.0.0.1", self.server.port))
            connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 1))
            if stream:
                self.assertIn(b"200", connection.recv(100))
            connection.close()
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 0))
            self.assertEqual(self.server.metric("vllm:kv_cache_usage_perc"), 0)

    def test_what_is_wrong_is_refused_with_its_place(self):
        cases = [({"temperature": "hot"}, "temperature"), ({"max_tokens": 10**6}, None), ({"nonsense": 1}, "nonsense"),
                 ({"response_format": {"type": "json_schema", "json_schema": {"name": "t", "schema": {"type": "nothing"}}}}, None),
                 ({"messages": []}, None), ({"logit_bias": {"x": 1}}, None), ({"stop": 7}, "stop"), ({"n": 100000}, "n")]
        for fields, param in cases:
            with self.subTest(fields=fields):
                status, answer, _ = self.server.chat(**fields)
                self.assertEqual(status, 400, answer)
                self.assertEqual(set(answer["error"]), {"message", "type", "param", "code"})
                if param:
                    self.assertEqual(answer["error"]["param"], param)
        status, answer, _ = self.server.request("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 5000}], "max_tokens": 5})
        self.assertEqual(status, 400)
        self.assertRegex(answer["error"]["message"], r"needs \d+ tokens of context; there are \d+")

    def test_errors_have_one_shape(self):
        for method, path, body, status in (("GET", "/nowhere", None, 404), ("GET", "/v1/chat/completions", None, 405), ("POST", "/v1/chat/completions", "{", 400),
                                           ("POST", "/v1/chat/completions", "[]", 400), ("POST", "/v1/chat/completions", b"\xff\xfe", 400),
                                           ("POST", "/v1/chat/completions", "[" * 10000 + "]" * 10000, 400)):
            with self.subTest(path=path, body=str(body)[:20]):
                found, answer, _ = self.server.request(method, path, body)
                self.assertEqual(found, status)
                self.assertEqual(set(answer["error"]), {"message", "type", "param", "code"})
        status, answer, _ = self.server.chat(model="another")
        self.assertEqual(status, 404)

    def test_bytes_that_are_no_request_do_not_hurt_others(self):
        for raw in (b"\x00\x01\x02 nonsense\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20000 + b"\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\nhalf"):
            connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=10)
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except TimeoutError:
                raise
            except OSError:  # it was refused before all of it was sent
                pass
            connection.close()
        self.assertEqual(self.server.chat(max_tokens=2)[0], 200)

    def test_texts_and_tokens(self):
        _, tokens, _ = self.server.request("POST", "/tokenize", {"prompt": "What is a KV cache?", "add_special_tokens": False})
        _, text, _ = self.server.request("POST", "/detokenize", {"tokens": tokens["tokens"]})
        self.assertEqual(text["prompt"], "What is a KV cache?")
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        _, prompt, _ = self.server.request("POST", "/apply-template", {"messages": [{"role": "user", "content": "hi"}]})
        self.assertIn("hi", prompt["prompt"])
        self.assertEqual(self.server.request("POST", "/detokenize", {"tokens": [10**9]})[0], 400)
        status, answer, _ = self.server.request("POST", "/chat", {"prompt": "What is a KV cache?", "max_tokens": 8})
        self.assertEqual((status, answer["tokens"]), (200, 8))
        self.assertEqual(self.server.request("GET", "/health")[:2], (200, {"status": "ok"}))
        self.assertEqual(self.server.request("GET", "/v1/models")[1]["data"][0]["object"], "model")

    def test_a_connection_serves_many_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        for i in range(20):
            connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": i % 2 == 1}))
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            response.read()
        connection.close()


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class ServerLife(unittest.TestCase):
    def test_a_taken_port_is_told(self):
        server = Served()
        code, _, errors = run("serve", "--port", str(server.port))
        self.assertEqual(code, 1)
        self.assertIn(f"port {server.port}", errors)
        self.assertEqual(server.stop(signal.SIGINT), 0)

    def test_keys(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("secret-one\n\nsecret-two\n")
            keys.flush()
            server = Served("--api-key-file", keys.name)
            try:
                self.assertEqual(server.chat(max_tokens=1)[0], 401)
                for key, status in (("secret-two", 200), ("secret", 401), ("secret-two2", 401), ("", 401)):
                    found = server.request("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}, {"Authorization": f"Bearer {key}"})
                    self.assertEqual(found[0], status, key)
                self.assertEqual(server.request("GET", "/health")[0], 200)
            finally:
                server.stop()

    def test_a_server_that_is_told_to_end_answers_what_it_has(self):
        server = Served()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(server.chat, max_tokens=400, min_tokens=400, ignore_eos=True, stream=i % 2 == 0) for i in range(8)]
            server.wait_for("vllm:num_requests_running", 8)
            code = server.stop()
            for i, answer in enumerate(answers):
                status, text, _ = answer.result()
                self.assertEqual(status, 200)
                self.assertTrue(events(text)[1] if i % 2 == 0 else text["usage"]["completion_tokens"] == 400)
        self.assertEqual(code, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
