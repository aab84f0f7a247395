"""What stands around the endpoints of corbel serve: keys, limits, settings, TLS, the access log, metrics.

  usage: check_serve_gate.py CORBEL SOURCE_FOLDER
"""
import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import unittest

from runner import CORBEL, HAS_PICO, SOURCE, run
from served import Served, Streams, parse_metrics, read_all, said, self_signed, trusting

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


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served("--max-body-bytes", "100000", "--max-header-bytes", "8192", "--max-json-depth", "8", "--max-prompt-tokens", "60",
                            "--receive-timeout", "1", "--cors-origin", "https://good.example", "--cors-origin", "https://better.example")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def test_have_a_number(self):
        for given, kept in (("abc-1.2:X_y", True), ("x" * 128, True), ("x" * 129, False), ('a"b', False), ("", False), ("a b", False)):
            _, _, headers = self.server.request("GET", "/health", headers={"x-request-id": given})
            self.assertEqual(headers["x-request-id"] == given, kept, given)
            self.assertTrue(headers["x-request-id"])
        numbers = {self.server.request("GET", "/health")[2]["x-request-id"] for _ in range(20)}
        self.assertEqual(len(numbers), 20)

    def refused(self, raw, status):
        with contextlib.closing(self.server.connect(timeout=20)) as connection:
            try:
                connection.sendall(raw)
            except OSError:
                pass
            head, _, body = read_all(connection).partition(b"\r\n\r\n")
        self.assertEqual(head.split()[1:2], [str(status).encode()], head[:200])
        self.assertIn(b"x-request-id: ", head)
        self.assertEqual(set(json.loads(body)["error"]), SHAPE)

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

    def test_a_request_whose_time_is_over_ends_with_what_it_has(self):
        with Served("--max-seconds", "1", "--max-model-len", "2048") as server:
            body = {"max_tokens": 1900, "min_tokens": 1900, "ignore_eos": True, "n": 8}
            answer = server.chat(**body)[1]
            reasons = {choice["finish_reason"] for choice in answer["choices"]}
            self.assertEqual(reasons, {"length"})
            if answer["usage"]["completion_tokens"] < 8 * 1900:
                self.assertIn("time was over", " ".join(answer["warnings"]))

    def test_the_table_in_the_docs_is_that_of_the_command(self):
        page = (SOURCE / "docs/server_operation.md").read_text()
        rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (\d+ \| \d+ to \d+) \|", page, re.MULTILINE))
        text = " ".join(run("serve", "--help")[1].split())
        told = {flag: f"{default} | {low} to {high}" for flag, default, low, high in
                re.findall(r"--([a-z-]+) INT(?:(?! --).)*?\(default (\d+); (\d+) to (\d+)\)", text)}
        self.assertGreater(len(told), 12)
        self.assertEqual(rows, told)
        for flag, bounds in told.items():
            low, high = (int(x) for x in bounds.split(" | ")[1].split(" to "))
            for wrong in (low - 1, high + 1):
                code, _, errors = run("serve", f"--{flag}={wrong}")
                self.assertEqual(code, 2)
                self.assertIn(f"it must be {low} to {high}", errors)


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Settings(unittest.TestCase):
    def test_a_flag_goes_before_the_environment_before_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "corbel.conf")
            for text in ("# ours\nserved-model-name = of-the-file\nmax_json_depth = 5\ncors_origin = https://a.example\ncors-origin = https://b.example\n",
                         json.dumps({"served_model_name": "of-the-file", "max-json-depth": 5, "cors_origin": ["https://a.example", "https://b.example"]})):
                file.write_text(text)
                for environment, flags, name in (({}, [], "of-the-file"), ({"CORBEL_SERVE_SERVED_MODEL_NAME": "of-the-environment"}, [], "of-the-environment"),
                                                 ({"CORBEL_SERVE_SERVED_MODEL_NAME": "of-the-environment"}, ["--served_model_name", "of-the-flag"], "of-the-flag")):
                    with Served("--config", str(file), *flags, environment=environment) as server:
                        self.assertEqual(server.request("GET", "/v1/models")[1]["data"][0]["id"], name)
                        self.assertEqual(server.chat(messages=[[[[[[1]]]]]])[1]["error"]["code"], "too_deep")
                        for origin in ("https://a.example", "https://b.example"):
                            self.assertEqual(server.request("GET", "/health", headers={"Origin": origin})[2]["access-control-allow-origin"], origin)

    def test_what_is_unknown_or_wrong_is_refused_by_its_name_and_place(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "corbel.conf")
            for text, place in (("max_queue = 5\n\nmax_cue = 1\n", "corbel.conf:3: there is no setting \"max-cue\""), ("nonsense\n", "corbel.conf:1"),
                                ('{"huh": 1}', "no setting \"huh\""), ('{"port": {}}', "\"port\""), ("port = 70000\n", "--port is 70000 (" ),
                                ("insecure = maybe\n", "expected true or false")):
                file.write_text(text)
                code, _, errors = run("serve", "--config", str(file))
                self.assertEqual(code, 2, text)
                self.assertIn(place, errors)
            self.assertEqual(run("serve", "--config", "/nowhere")[0], 2)
        code, _, errors = run("serve", environment={"CORBEL_SERVE_PROT": "1"})
        self.assertEqual(code, 2)
        self.assertIn("CORBEL_SERVE_PROT", errors)
        code, _, errors = run("serve", environment={"CORBEL_SERVE_MAX_QUEUE": "-1"})
        self.assertIn("(CORBEL_SERVE_MAX_QUEUE)", errors)
        self.assertEqual(code, 2)


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


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Told(unittest.TestCase):
    def test_the_access_log_has_a_line_for_every_request_and_no_word_of_a_prompt(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "access.log")
            with Served("--access-log", str(file), environment={"CORBEL_API_KEY": "hush-hush"}) as server:
                key = {"x-api-key": "hush-hush"}
                ask = {"messages": [{"role": "user", "content": "strawberry"}], "max_tokens": 4, "min_tokens": 4, "ignore_eos": True}
                ids = [server.request("POST", "/v1/chat/completions", {**ask, "stream": stream}, {**key, "x-request-id": f"r-{stream}"})[2]["x-request-id"]
                       for stream in (True, False)]
                refused = server.request("POST", "/v1/chat/completions", {**ask, "n": -1}, key)[2]["x-request-id"]
                server.request("GET", "/v1/models?q=strawberry")
                connection = server.connect()
                body = json.dumps({**ask, **LONG})
                connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: hush-hush\r\nx-request-id: gone\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                connection.recv(10)
                connection.close()
                self.assertEqual(server.request("GET", "/health")[0], 200)
                os.rename(file, folder + "/moved.log")
                server.send_signal(signal.SIGHUP)
                self.assertTrue(server.wait_for_line("read keys"))
                server.request("GET", "/version", headers=key)
            text = pathlib.Path(folder, "moved.log").read_text() + file.read_text()
            lines = {line["id"]: line for line in map(json.loads, text.splitlines())}
            for number in ids:
                line = lines[number]
                self.assertEqual((line["method"], line["path"], line["status"], line["answer_tokens"], line["finish"]), ("POST", "/v1/chat/completions", 200, 4, "length"))
                self.assertGreater(line["prompt_tokens"], 3)
                self.assertRegex(line["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ$")
                self.assertRegex(line["key"], "^[0-9a-f]{8}$")
                self.assertGreaterEqual(line["ms"], 0)
            self.assertEqual(lines[refused]["status"], 400)
            self.assertTrue(lines["gone"]["client_left"])
            self.assertEqual(lines["gone"]["finish"], "cancelled")
            self.assertEqual({line["status"] for line in lines.values() if line["path"] == "/v1/models"}, {401})
            self.assertIn("/version", file.read_text())
            for word in ("strawberry", "hush"):
                self.assertNotIn(word, text)

    def test_metrics_have_vllms_names_and_buckets_and_count_right(self):
        with Served() as server:
            before = server.metrics()
            answers = [server.chat(max_tokens=tokens, min_tokens=tokens, ignore_eos=True, n=n)[1] for tokens, n in ((5, 1), (9, 2), (1, 1))]
            server.chat(max_tokens=500, stop=["e"])
            connection = server.connect()
            server.send_chat(connection, **LONG)
            self.assertTrue(server.wait_for("vllm:num_requests_running", 1))
            connection.close()
            self.assertTrue(server.wait_for("vllm:request_success_total", 1, finished_reason="abort"))
            text = server.request("GET", "/metrics")[1]
            found = parse_metrics(text)
        self.assertTrue(all(labels["model_name"] == "pico" for name, labels, _ in found if name.startswith("vllm:")))
        self.assertEqual({(name, *sorted(labels.items())) for name, labels, _ in before} - {(name, *sorted(labels.items())) for name, labels, _ in found}, set())

        def value(name, **labels):
            values = [v for n, has, v in found if n == name and labels.items() <= has.items()]
            self.assertEqual(len(values), 1, name)
            return values[0]

        self.assertEqual(value("vllm:request_success_total", finished_reason="length"), 4)
        self.assertEqual(value("vllm:request_success_total", finished_reason="stop"), 1)
        self.assertEqual(value("vllm:time_to_first_token_seconds_count"), value("vllm:request_params_n_count") + 1)  # n = 2 has two first tokens
        self.assertEqual(value("vllm:e2e_request_latency_seconds_count"), 6)
        self.assertEqual(value("vllm:request_prompt_tokens_sum"), value("vllm:prompt_tokens_total"))
        self.assertEqual(value("vllm:request_generation_tokens_sum"), value("vllm:generation_tokens_total"))
        self.assertEqual(value("vllm:request_params_max_tokens_sum"), 5 + 9 + 1 + 500 + 1500)
        self.assertGreaterEqual(value("vllm:generation_tokens_total"), sum(a["usage"]["completion_tokens"] for a in answers))
        self.assertGreaterEqual(value("corbel:http_responses_total", code="200"), 5)
        request = [.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680]
        gap = [.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]
        first = [.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560]
        sizes = [step * 10**decade for decade in range(4) for step in (1, 2, 5) if step * 10**decade <= 2048]
        wanted = {"e2e_request_latency_seconds": request, "request_queue_time_seconds": request, "request_inference_time_seconds": request,
                  "request_prefill_time_seconds": request, "request_decode_time_seconds": request, "inter_token_latency_seconds": gap,
                  "request_time_per_output_token_seconds": gap, "time_to_first_token_seconds": first, "request_prompt_tokens": sizes, "request_generation_tokens": sizes,
                  "request_max_num_generation_tokens": sizes, "request_params_max_tokens": sizes, "request_prefill_kv_computed_tokens": sizes,
                  "request_params_n": [1, 2, 5, 10, 20]}
        for name, bounds in wanted.items():
            buckets = [(has["le"], v) for n, has, v in found if n == f"vllm:{name}_bucket"]
            self.assertEqual([float(le) for le, _ in buckets], [*bounds, float("inf")], name)
            self.assertEqual(sorted(v for _, v in buckets), [v for _, v in buckets])
            self.assertEqual(buckets[-1][1], value(f"vllm:{name}_count"))
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "cache_config_info", "prefix_cache_queries_total", "prefix_cache_hits_total",
                     "num_preemptions_total", "prompt_tokens_cached_total", "corrupted_requests_total", "spec_decode_num_draft_tokens_total",
                     "spec_decode_num_accepted_tokens_total"):
            value(f"vllm:{name}")
        self.judge_with_prometheus(text, found)

    def judge_with_prometheus(self, text, found):
        """The format's own parser, where it is installed, reads the same."""
        try:
            from prometheus_client.parser import text_string_to_metric_families
        except ImportError:
            return
        theirs = {(s.name, *sorted(s.labels.items())): s.value for family in text_string_to_metric_families(text) for s in family.samples}
        self.assertEqual(theirs, {(name, *sorted(labels.items())): v for name, labels, v in found})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
