"""What can go wrong around corbel serve: a proper answer where one is possible, and everybody else's stream goes on.

  usage: check_serve_faults.py CORBEL SOURCE_FOLDER
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

from runner import CORBEL, HAS_PICO, PATIENCE, PICO, SANITIZED, run
from served import QUESTION, Served, ServedCase, Streams, dechunked, read_all, said

LONG = {"max_tokens": 1500, "min_tokens": 1500, "ignore_eos": True}
SHAPE = {"message", "type", "param", "code"}


class Proxy:
    """Passes bytes on to a server, as a balancer does: when one side closes, so does the other."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.target = self.listener.getsockname()[1], port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one, other):
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
        for side in (one, other):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Clients(ServedCase):
    FLAGS = ("--max-num-seqs", "6", "--receive-timeout", "1", "--write-timeout", "1", "--max-model-len", "2048")

    def test_that_vanish_while_they_are_answered_or_wait_free_their_places(self):
        with Streams(self.server, tokens=600):
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 3))
            connections = [self.server.connect() for _ in range(8)]  # 3 run, 5 wait
            for i, connection in enumerate(connections):
                self.server.send_chat(connection, **LONG, stream=i % 2 == 0)
            self.assertTrue(self.server.wait_for("vllm:num_requests_waiting", 5))
            for connection in connections[3:]:
                connection.close()
            self.assertTrue(self.server.wait_for("vllm:num_requests_waiting", 0))
            for i, connection in enumerate(connections[:3]):
                if i == 0:  # with a reset, not an end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
        self.assertTrue(self.server.wait_for("vllm:num_requests_running", 0))
        self.assertEqual(self.server.metric("vllm:kv_cache_usage_perc"), 0)

    def test_that_vanish_while_their_prompt_is_read_free_their_places(self):
        before = self.server.metric("vllm:request_success_total", finished_reason="abort")
        with Streams(self.server):
            for i in range(4):
                connection = self.server.connect()
                text = f"{i} " + "a story of cats " * 120
                self.server.send_chat(connection, messages=[{"role": "user", "content": text}], max_tokens=200, min_tokens=200, ignore_eos=True, stream=i % 2 == 0)
                connection.close()  # at once: as a rule before the prompt is done
        self.assertTrue(self.server.wait_for("vllm:num_requests_running", 0))
        self.assertTrue(self.server.wait_for("vllm:request_success_total", before + 4, finished_reason="abort"))

    def test_that_vanish_behind_a_proxy_free_their_places(self):
        proxy = Proxy(self.server.port)
        with Streams(self.server):
            connections = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(3)]
            for i, connection in enumerate(connections):
                self.server.send_chat(connection, **LONG, stream=i > 0)
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 6))
            for connection in connections:
                connection.close()
        self.assertTrue(self.server.wait_for("vllm:num_requests_running", 0))
        proxy.listener.close()

    def test_that_ask_again_before_their_answer_is_there_get_both(self):
        with contextlib.closing(self.server.connect()) as connection:
            for _ in range(3):
                self.server.send_chat(connection, max_tokens=20, stream=True)
            text = b""
            while text.count(b"[DONE]") < 3:
                text += connection.recv(65536)
            self.assertEqual(text.count(b"HTTP/1.1 200 OK"), 3)
            self.server.send_chat(connection, **LONG, stream=True)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 1))
        self.assertTrue(self.server.wait_for("vllm:num_requests_running", 0))

    def test_that_send_a_byte_at_a_time_are_given_up_and_hold_nobody_up(self):
        with Streams(self.server):
            slow_head, slow_body, endless = (self.server.connect(timeout=20) for _ in range(3))
            slow_head.sendall(b"GET /he")
            slow_body.sendall(b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            endless.sendall(b"POST /chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(OSError):
                for _ in range(30):
                    slow_head.sendall(b"a")
                    endless.sendall(b"1\r\na\r\n")
                    slow_body.sendall(b"{")
                    time.sleep(0.1)  # this is what is tested: a client that is slow
            for connection in (slow_body, endless):
                answer = read_all(connection)
                self.assertIn(b" 408 ", answer.split(b"\r\n")[0])
                self.assertIn(b"x-request-id", answer)
                connection.close()
            slow_head.close()

    def test_that_do_not_read_are_given_up_and_hold_nobody_up(self):
        with Streams(self.server):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", self.server.port))
            self.server.send_chat(connection, **LONG, n=3, logprobs=True, top_logprobs=20, stream=True)
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 6))
            self.assertTrue(self.server.wait_for("vllm:num_requests_running", 0, seconds=60))  # given up long before its 4,500 tokens, or done
            connection.close()

    def test_that_read_slowly_get_every_token_once(self):
        body = {"max_tokens": 300, "min_tokens": 300, "ignore_eos": True, "seed": 5, "temperature": 0.9, "stream": True, "logprobs": True}
        whole = said(self.server.chat(**body)[1])
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", self.server.port))
        self.server.send_chat(connection, **body)
        text = b""
        while b"0\r\n\r\n" not in text[-10:]:
            piece = connection.recv(1 if len(text) < 500 else 700)
            self.assertTrue(piece)
            text += piece
        connection.close()
        head, _, chunks = text.partition(b"\r\n\r\n")
        self.assertEqual(said(dechunked(chunks)), whole)


class Bodies(ServedCase):
    def refused(self, body, param=None, within=10):
        begin = time.monotonic()
        status, answer, headers = self.server.request("POST", "/v1/chat/completions", body)
        self.assertLess(time.monotonic() - begin, within * PATIENCE)
        self.assertEqual(status, 400, f"{str(body)[:80]}: {str(answer)[:200]}")
        self.assertEqual(set(answer["error"]), SHAPE)
        self.assertLess(len(answer["error"]["message"]), 1000)
        if param:
            self.assertEqual(answer["error"]["param"], param)

    def test_that_are_no_utf8_are_refused(self):
        for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"):
            self.refused(b'{"messages": [{"role": "user", "content": "' + bad + b'"}]}')
        self.refused('{"messages": [{"role": "user", "content": "\\ud800"}], "max_tokens": 1}')

    def test_that_have_numbers_which_are_none_or_too_large_are_refused(self):
        template = '{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "%s": %s}'
        for field in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "min_p", "repetition_penalty"):
            for value in ("NaN", "Infinity", "-Infinity", "1e999", "-1e308", "1e308", "[]", '"1"'):
                self.refused(template % (field, value))
        for field in ("n", "top_logprobs", "top_k", "max_completion_tokens", "min_tokens"):
            for value in ("1e30", "-9223372036854775808", "9223372036854775807", "18446744073709551615", "99999999999999999999999", "1.5", "NaN"):
                self.refused(template % (field, value))
        for value in ('{"0": 1e308}', '{"0": NaN}', '{"-1": 1}', '{"99999999999999999999": 1}', '{"0": "x"}'):
            self.refused(template % ("logit_bias", value))
        for value in ("1e30", "99999999999999999999999999", "1.5"):
            self.refused(template % ("seed", value))

    def test_with_ten_megabytes_of_stops_are_refused_soon(self):
        with Streams(self.server):
            self.refused({"messages": QUESTION, "stop": ["x" * 100] * 100_000}, "stop")
            self.refused({"messages": QUESTION, "stop": "y" * 10_000_000})
            self.refused({"messages": QUESTION, "stop_token_ids": [1] * 1_000_000})
            self.refused({"messages": QUESTION, "logit_bias": {str(i): 1 for i in range(500_000)}})

    def test_that_are_nested_deep_anywhere_are_refused(self):
        for deep in ("[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000):
            self.refused(deep)
            self.refused('{"messages": ' + deep + "}")
            self.refused('{"messages": [], "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": ' + deep + "}}}")

    def test_whose_schema_regex_or_template_explodes_hold_nobody_up(self):
        doubling = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "required": ["a"],
                    "$defs": {f"d{i}": {"type": "object", "properties": {c: {"$ref": f"#/$defs/d{i + 1}"} for c in "ab"}, "required": ["a", "b"]} for i in range(30)} |
                             {"d30": {"type": "integer"}}}
        loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
        wide = {"type": "object", "properties": {f"p{i}": {"type": "string", "minLength": 50, "maxLength": 5000} for i in range(2000)}}
        cubes = {"allOf": [{"anyOf": [{"type": "string", "pattern": f"^{a}*{b}+{c}$"} for a in "xyz" for b in "xyz" for c in "xyz"]} for _ in range(8)]}
        with Streams(self.server):
            for schema in (doubling, loop, wide, cubes):
                self.answered({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})
            for regex in ("(((((a{1,99}){1,99}){1,99}){1,99}){1,99})", "(a|aa|aaa)*" * 200 + "b", "((a*)*)*" * 50, "[a-z]{1,1000000000}", "(" * 3000 + ")" * 3000, "\\w{500}" * 40):
                self.answered({"structured_outputs": {"regex": regex}})
            self.answered({"chat_template_kwargs": {"x": ["y" * 100] * 1000}})
            self.answered({"tools": [{"type": "function", "function": {"name": f"f{i}", "parameters": doubling}} for i in range(64)], "tool_choice": "required"})

    def answered(self, fields, within=30):
        """An answer or a refusal, soon."""
        begin = time.monotonic()
        status, answer, _ = self.server.request("POST", "/v1/chat/completions", {"messages": QUESTION, "max_tokens": 5, **fields})
        self.assertLess(time.monotonic() - begin, within * PATIENCE, str(fields)[:100])
        self.assertIn(status, (200, 400), f"{str(fields)[:100]}: {str(answer)[:300]}")
        if status == 400:
            self.assertEqual(set(answer["error"]), SHAPE)

    def test_whose_history_has_malformed_tool_calls_are_refused_with_the_place(self):
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for broken, place in (({**call, "function": {"name": "f", "arguments": "{broken"}}, "arguments"), ({**call, "function": {"name": 7, "arguments": "{}"}}, "name"),
                              ({**call, "function": "f"}, "function"), ({"id": "c1"}, None), ("f", None), ({**call, "type": "nonsense"}, None)):
            body = {"messages": [*QUESTION, {"role": "assistant", "content": "", "tool_calls": [broken]}, {"role": "tool", "tool_call_id": "c1", "content": "1"}], "max_tokens": 2}
            status, answer, _ = self.server.request("POST", "/v1/chat/completions", body)
            self.assertIn(status, (200, 400), answer)
            if status == 400:
                self.assertIn("messages[1]", answer["error"]["param"] or answer["error"]["message"])
                if place:
                    self.assertIn(place, answer["error"]["message"])
            else:
                self.assertTrue(answer.get("warnings"), f"{broken} was taken without a word")

    def test_answers_that_are_no_utf8_are_told_as_text(self):
        status, answer, _ = self.server.request("POST", "/tokenize", {"prompt": "\U0001f9ff", "add_special_tokens": False})
        self.assertEqual(status, 200)
        half = [token for token in answer["tokens"] if "\ufffd" in self.server.request("POST", "/detokenize", {"tokens": [token]})[1]["prompt"]]
        if not half:
            self.skipTest("the model has a token for every character")
        fields = {"messages": QUESTION, "max_tokens": 3, "logit_bias": {str(half[0]): 100}, "temperature": 0, "logprobs": True}
        with Streams(self.server):
            status, answer, _ = self.server.request("POST", "/v1/chat/completions", fields)
            self.assertEqual(status, 200)
            self.assertIn("\ufffd", answer["choices"][0]["message"]["content"])
            status, text, _ = self.server.request("POST", "/v1/chat/completions", {**fields, "stream": True})
            self.assertEqual(said(text)[0][0][0], answer["choices"][0]["message"]["content"])


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Machine(unittest.TestCase):
    def copied(self, folder):
        model = pathlib.Path(folder, "model")
        shutil.copytree(PICO, model)
        return model

    def test_a_model_file_that_is_removed_is_served_on(self):
        with tempfile.TemporaryDirectory() as folder:
            model = self.copied(folder)
            with Served(model=[str(model)]) as server, Streams(server):
                shutil.rmtree(model)

    def test_a_model_file_that_is_cut_ends_the_server_with_a_word_and_no_wrong_token(self):
        with tempfile.TemporaryDirectory() as folder:
            model = self.copied(folder)
            server = Served(model=[str(model)])
            body = {"max_tokens": 1900, "min_tokens": 1900, "ignore_eos": True, "seed": 1, "temperature": 1.0, "n": 4, "stream": True}
            alone, done = said(server.chat(**body)[1])
            self.assertTrue(done)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answer = pool.submit(server.chat, **body)
                self.assertTrue(server.wait_for("vllm:num_requests_running", 4))
                os.truncate(model / "model.safetensors", 4096)
                status, text, _ = answer.result()
            self.assertEqual(status, 200)
            found, done = said(text)
            self.assertFalse(done)
            self.assertIn("the model's file changed", text.split("data: ")[-1])
            for at, (content, _, _) in found.items():
                self.assertTrue(alone[at][0].startswith(content))
            self.assertEqual(server.process.wait(timeout=60 * PATIENCE), 1)
            self.assertTrue(server.wait_for_line("was cut while it was served"))
            server.stop()

    def test_a_template_that_explodes_is_told_to_who_asks_and_holds_nobody_up(self):
        bombs = {"steps": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
                 "text": "{% set ns = namespace(text='x') %}{% for a in range(64) %}{% set ns.text = ns.text + ns.text %}{% endfor %}{{ ns.text }}",
                 "depth": "{% macro again(n) %}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}"}
        with tempfile.TemporaryDirectory() as folder:
            model = self.copied(folder)
            template = model / "chat_template.jinja"
            template.write_text("".join("{%% if messages[-1].content == '%s' %%}%s{%% endif %%}" % bomb for bomb in bombs.items()) + template.read_text())
            with Served(model=[str(model)]) as server, Streams(server):
                for bomb in bombs:
                    begin = time.monotonic()
                    status, answer, _ = server.chat(messages=[{"role": "user", "content": bomb}], max_tokens=5)
                    self.assertLess(time.monotonic() - begin, 20 * PATIENCE, bomb)
                    self.assertEqual((status, set(answer["error"])), (400, SHAPE), bomb)

    def test_more_than_the_cache_holds_waits_and_says_what_it_says_alone(self):
        with Served("--max-num-seqs", "4", "--max-model-len", "512") as server:
            bodies = [{"max_tokens": 300, "min_tokens": 300, "ignore_eos": True, "temperature": 1.0, "seed": i} for i in range(12)]
            alone = [server.chat(**body)[1]["choices"] for body in bodies]
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                together = list(pool.map(lambda body: server.chat(**body)[1]["choices"], bodies))
            self.assertEqual(together, alone)

    @unittest.skipIf(SANITIZED, "a sanitizer takes terabytes of addresses")
    def test_a_gigabyte_is_enough_and_asking_for_more_is_refused(self):
        with Served("--max-num-seqs", "4", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))) as server:
            with Streams(server):
                with concurrent.futures.ThreadPoolExecutor(16) as pool:
                    big = '{"messages": [{"role": "user", "content": "' + "x " * 10_000_000 + '"}]}'
                    found = list(pool.map(lambda _: self.status(server, big), range(24)))
                self.assertLessEqual(set(found), {400, 503, "lost"})
            self.assertEqual(server.chat(max_tokens=1)[0], 200)

    @staticmethod
    def status(server, body):
        try:
            return server.request("POST", "/v1/chat/completions", body)[0]
        except OSError:
            return "lost"

    def test_told_to_end_under_load_it_answers_what_it_has_and_refuses_the_rest(self):
        server = Served("--max-num-seqs", "4")
        kept = server.connect()
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"200", kept.recv(4096))
        with Streams(server, count=8, tokens=300):
            self.assertTrue(server.wait_for("vllm:num_requests_waiting", 4))
            server.send_signal(signal.SIGTERM)
            self.assertTrue(server.wait_for_line("draining"))
            with self.assertRaises(ConnectionRefusedError):
                for _ in range(100):
                    server.connect().close()
                    time.sleep(0.02)
        self.assertEqual(server.stop(), 0)
        kept.close()

    def test_time_for_answers_is_bounded_when_it_is_told_to_end(self):
        server = Served("--drain-seconds", "0")
        connection = server.connect()
        server.send_chat(connection, **LONG, n=8, stream=True)
        self.assertTrue(server.wait_for("vllm:num_requests_running", 8))
        self.assertEqual(server.stop(), 0)
        told = read_all(connection)
        self.assertNotIn(b"[DONE]", told)
        self.assertIn(b'data: {"error":{"message":"the server is shutting down"', told)
        connection.close()

    def test_two_on_one_port_are_one_and_a_message(self):
        with Served() as server, Streams(server):
            code, _, errors = run("serve", "--port", str(server.port))
            self.assertEqual(code, 1)
            self.assertIn(f"port {server.port}", errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
