"""What corbel serve tells about itself: the access log and the metrics.

  usage: check_serve_metrics.py CORBEL SOURCE_FOLDER
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

from runner import HAS_PICO, SOURCE
from served import Served, parse_metrics

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's own modules, where this is another Python
try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None
for program in ("prometheus", "promtool"):
    if not shutil.which(program):
        print(f"skipped: there is no {program} (Debian: prometheus)")

LONG = {"max_tokens": 1500, "min_tokens": 1500, "ignore_eos": True, "stream": True}


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
                seen = b""
                while b"data: " not in seen:  # it runs: what leaves before that has no end to tell of
                    seen += connection.recv(4096)
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
        """The format's own parser reads the same."""
        if text_string_to_metric_families is None:
            print("skipped Prometheus' parser: there is no prometheus_client")
            return
        theirs = {(s.name, *sorted(s.labels.items())): s.value for family in text_string_to_metric_families(text) for s in family.samples}
        self.assertEqual(theirs, {(name, *sorted(labels.items())): v for name, labels, v in found})


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Prometheus(unittest.TestCase):
    """With the real programs, where they are installed."""

    def expressions(self):
        board = json.loads((SOURCE / "deploy/grafana/corbel.json").read_text())
        found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        return found + [re.fullmatch(r"label_values\((.*), \w+\)", one["query"]["query"]).group(1) for one in board["templating"]["list"] if one["type"] == "query"]

    def test_every_metric_and_label_that_the_dashboard_names_is_told(self):
        with Served() as server:
            server.chat(max_tokens=3)
            told = {}
            for name, labels, _ in server.metrics():
                told.setdefault(name, set()).update({"instance", "job", *labels})
        self.assertGreater(len(self.expressions()), 30)
        for expression in self.expressions():
            named = re.findall(r"((?:vllm|corbel):\w+)(?:\{([^}]*)\})?", expression)
            self.assertTrue(named, expression)
            for name, selector in named:
                self.assertIn(name, told, expression)
                used = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector) + re.findall(r"by \(([^)]*)\)", expression)
                self.assertLessEqual(set(used), told[name], expression)

    def promtool(self, *words, text=None):
        return subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, timeout=60)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed (Debian: prometheus)")
    def test_promtool_finds_no_fault_but_the_colons_of_vllms_names(self):
        with Served() as server:
            server.chat(max_tokens=3)
            done = self.promtool("check", "metrics", text=server.request("GET", "/metrics")[1])
        complaints = [line for line in (done.stdout + done.stderr).splitlines() if "should not contain ':'" not in line]
        # vLLM's own names, which are kept: a count without a unit, a metric that tells of configuration.
        self.assertEqual([line for line in complaints if not line.startswith("vllm:")], [])
        self.assertIn(done.returncode, (0, 3), done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            rules = [{"record": f"r{at}", "expr": re.sub(r"\$__rate_interval", "1m", expression)} for at, expression in enumerate(self.expressions())]
            file = pathlib.Path(folder, "rules.json")  # YAML takes JSON
            file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
            done = self.promtool("check", "rules", str(file))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")
    def test_prometheus_reads_it(self):
        with tempfile.TemporaryDirectory() as folder, Served(environment={"CORBEL_API_KEY": "the-key"}) as server:
            key = {"x-api-key": "the-key"}
            config = pathlib.Path(folder, "prometheus.json")
            config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [
                {"job_name": "corbel", "authorization": {"credentials": "the-key"}, "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}]}))
            with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
                port = listener.getsockname()[1]
            program = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                server.chat(headers=key, max_tokens=7, min_tokens=7, ignore_eos=True)
                self.assertEqual(self.asked(port, "vllm:generation_tokens_total", "7"), "7")
                self.assertEqual(self.asked(port, "up", "1"), "1")
            finally:
                program.terminate()
                program.wait(timeout=60)

    def asked(self, port, query, wanted, seconds=60):
        """What Prometheus knows of it; a bound on time, not a measure of it."""
        until, value = time.monotonic() + seconds, None
        while time.monotonic() < until and value != wanted:
            with contextlib.suppress(OSError, http.client.HTTPException):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}", timeout=10) as answer:
                    result = json.load(answer)["data"]["result"]
                    value = result[0]["value"][1] if result else None
            time.sleep(0.05)
        return value


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
