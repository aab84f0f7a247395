"""corbel bench serve: its figures against a server whose delays are known, and against corbel serve.

  usage: check_bench_serve.py CORBEL SOURCE_FOLDER
"""
import http.server
import json
import re
import subprocess
import sys
import threading
import time
import unittest

from runner import CORBEL, HAS_PICO, run

FIRST, EACH = 0.150, 0.020  # seconds to the first token, and for each one after it


class Mock(http.server.BaseHTTPRequestHandler):
    """Answers "max_tokens" tokens at known times. `behave(number)` says how: "well", a status, "cut" or "error"."""

    protocol_version = "HTTP/1.1"
    behave = staticmethod(lambda number: "well")
    lock, begun, seen = threading.Lock(), 0, None

    def do_GET(self):
        self.whole(200, {"object": "list", "data": [{"id": "mock", "object": "model", "created": 1, "owned_by": "test"}]})

    def do_POST(self):
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            return self.whole(404, {"error": {"message": "none"}})
        if "ignore_eos" in fields:
            return self.whole(400, {"error": {"message": "ignore_eos is not known"}})
        if not fields.get("stream"):
            if fields["max_tokens"] > 2:
                time.sleep(FIRST)
            return self.whole(200, {"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 11, "completion_tokens": fields["max_tokens"]}})
        with Mock.lock:
            number, Mock.begun = Mock.begun, Mock.begun + 1
            Mock.seen.append((time.monotonic(), fields))
        how = self.behave(number)
        if isinstance(how, int):
            return self.whole(how, {"error": {"message": "no"}})
        self.stream(fields["max_tokens"], how)

    def whole(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, tokens, how):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})  # no token yet
        begin = time.monotonic() + FIRST
        for i in range(tokens):
            time.sleep(max(0.0, begin + i * EACH - time.monotonic()))
            self.event({"choices": [{"delta": {"content": "word"}}]})
            if how == "cut" and i == 2:
                return self.chunk(b"")
        if how == "error":
            self.event({"error": {"message": "the model fell over"}})
        else:
            self.event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": tokens}})
            self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_):
        pass


class Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that has waited long enough


class Figures(unittest.TestCase):
    def setUp(self):
        Mock.begun, Mock.seen, Mock.behave = 0, [], staticmethod(lambda number: "well")
        self.server = Listener(("127.0.0.1", 0), Mock)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def bench(self, *flags, code=0):
        found, out, err = run("bench", "serve", self.url, "--json", *flags)
        self.assertEqual(found, code, err)
        return json.loads(out)

    def near(self, found, wanted, slack=0.25):
        """Delays are never shorter; a busy machine makes them longer."""
        self.assertGreaterEqual(found, wanted * 0.97)
        self.assertLessEqual(found, wanted * (1 + slack) + 15)

    def test_times_are_those_of_the_server(self):
        report = self.bench("--concurrency", "8", "--requests", "16", "--answer-tokens", "11")
        self.assertEqual((report["requests"], report["succeeded"], report["failures"]), (16, 16, {}))
        self.near(report["ttft_ms"]["p50"], FIRST * 1e3)
        self.near(report["tpot_ms"]["p50"], EACH * 1e3)
        self.near(report["itl_ms"]["mean"], EACH * 1e3)
        self.assertEqual(report["itl_ms"]["count"], 16 * 10)
        self.near(report["e2e_ms"]["p95"], (FIRST + 10 * EACH) * 1e3)
        self.near(report["seconds"] * 1e3, 2 * (FIRST + 10 * EACH) * 1e3)
        self.assertEqual((report["answer_tokens"]["mean"], report["prompt_tokens"]["mean"]), (11, 11))
        self.assertAlmostEqual(report["answer_tokens_per_s"], 176 / report["seconds"], places=3)
        for name in ("ttft_ms", "tpot_ms", "e2e_ms"):
            one = report[name]
            self.assertTrue(one["p50"] <= one["p90"] <= one["p95"] <= one["p99"] <= one["max"], name)

    def test_many_at_once_overlap(self):
        report = self.bench("--concurrency", "100", "--requests", "100", "--answer-tokens", "3")
        self.assertEqual(report["succeeded"], 100)
        self.assertLess(report["seconds"], 10 * (FIRST + 2 * EACH))

    def test_a_rate_spreads_requests_whatever_their_answers_take(self):
        report = self.bench("--rate", "40", "--requests", "40", "--answer-tokens", "2", "--seed", "3")
        times = [at for at, _ in Mock.seen]
        self.assertEqual(len(times), 40)
        self.assertGreater(times[-1] - times[0], 0.5)
        self.assertLess(times[-1] - times[0], 2.5)
        self.assertLess(report["seconds"], 3.5)

    def test_failures_are_counted_by_kind(self):
        Mock.behave = staticmethod(lambda number: ["well", 429, "cut", "error", 500][number % 5])
        report = self.bench("--concurrency", "5", "--requests", "20", "--answer-tokens", "5")
        self.assertEqual(report["failures"], {"status 429": 4, "stream cut off": 4, "error event": 4, "status 500": 4})
        self.assertEqual(report["succeeded"], 4)

    def test_when_all_have_failed_the_exit_code_says_so(self):
        Mock.behave = staticmethod(lambda number: 503)
        self.assertEqual(self.bench("--requests", "3", code=1)["failures"], {"status 503": 3})

    def test_a_server_that_does_not_answer_is_a_timeout(self):
        self.assertEqual(self.bench("--requests", "2", "--timeout", "0.08", code=1)["failures"], {"timeout": 2})

    def test_goodput_counts_what_keeps_the_level(self):
        all_good = self.bench("--requests", "4", "--concurrency", "4", "--answer-tokens", "4", "--slo", "ttft=5s,tpot=1s,e2e=9")
        self.assertEqual(all_good["good"], 4)
        for level in (f"ttft={FIRST * 900}ms", f"tpot={EACH * 900}ms", f"e2e={FIRST}s"):
            self.assertEqual(self.bench("--requests", "2", "--concurrency", "2", "--answer-tokens", "4", "--slo", level)["good"], 0, level)

    def test_lengths_are_drawn_as_told(self):
        self.bench("--requests", "60", "--concurrency", "60", "--answer-tokens", "uniform:1-3", "--prompt-tokens", "normal:30,10")
        tokens = [fields["max_tokens"] for _, fields in Mock.seen]
        words = [len(fields["messages"][0]["content"].split()) for _, fields in Mock.seen]
        self.assertEqual(set(tokens), {1, 2, 3})
        self.assertTrue(20 < sum(words) / len(words) < 40 and len(set(words)) > 5, words)
        self.assertEqual(len({fields["messages"][0]["content"] for _, fields in Mock.seen}), 60)

    def test_whole_answers_have_no_times_of_tokens(self):
        report = self.bench("--whole", "--requests", "4", "--concurrency", "4", "--answer-tokens", "7")
        self.assertNotIn("ttft_ms", report)
        self.assertEqual(report["answer_tokens"]["mean"], 7)
        self.near(report["e2e_ms"]["p50"], FIRST * 1e3)

    def test_the_table_shows_the_figures(self):
        code, out, err = run("bench", "serve", self.url + "/v1/", "--requests", "2", "--answer-tokens", "3")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"requests +2 of 2 in")
        self.assertRegex(out, r"first token \(TTFT\) +1[5-9]\d\.\d")

    def test_what_is_wrong_with_flags_is_told(self):
        for flags in ((), (self.url, self.url), (self.url, "--rate", "0"), (self.url, "--prompt-tokens", "many"), (self.url, "--answer-tokens", "uniform:9-2"),
                      (self.url, "--slo", "ttft=fast"), (self.url, "--slo", "tps=3"), (self.url, "--concurrency", "0"), (self.url, "--whole", "--stream")):
            code, out, err = run("bench", "serve", *flags)
            self.assertEqual((code, out), (2, ""), flags)
            self.assertTrue(err.startswith("corbel: "), err)
        for url in ("https://127.0.0.1:1", "ftp://x", "http://", "http://127.0.0.1:x"):
            code, _, err = run("bench", "serve", url)
            self.assertEqual(code, 1)
            self.assertIn("expected http://HOST:PORT", err)


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class AgainstOurs(unittest.TestCase):
    def test_prompts_and_answers_have_the_lengths_that_were_asked(self):
        process = subprocess.Popen([CORBEL, "serve", "--port", "0", "--threads", "2"], stderr=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://[\d.:]+", process.stderr.readline())[0]
            for endpoint in ("chat",):
                code, out, err = run("bench", "serve", url, "--json", "--concurrency", "8", "--requests", "24", "--prompt-tokens", "uniform:40-90",
                                     "--answer-tokens", "12", "--endpoint", endpoint)
                self.assertEqual(code, 0, err)
                report = json.loads(out)
                self.assertEqual((report["succeeded"], report["failures"]), (24, {}))
                self.assertEqual((report["answer_tokens"]["mean"], report["answer_tokens"]["max"]), (12, 12))
                self.assertTrue(40 <= report["prompt_tokens"]["p50"] <= report["prompt_tokens"]["max"] <= 90)
                self.assertTrue(report["load"]["exact_prompts"] and report["load"]["ignores_eos"])
        finally:
            process.terminate()
            self.assertEqual(process.wait(timeout=60), 0)
            process.stderr.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
