"""corbel serve under load, on every kind of request at once: what it says is what it says alone. Small here; under sanitizers (make
sanitize) it is the program that shows races and lost memory.

  usage: check_serve_load.py CORBEL SOURCE_FOLDER
"""
import contextlib
import json
import pathlib
import random
import signal
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from runner import HAS_PICO, run
from served import QUESTION, Served, dechunked, events, read_all, said

STREAMS = 32
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}, "required": ["a", "b"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
KINDS = (
    {},
    {"n": 2, "temperature": 1.0},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}, "temperature": 0.7},
    {"structured_outputs": {"regex": "[a-f]{3,9}( [0-9]+)*"}, "temperature": 1.0},
    {"tools": [TOOL], "tool_choice": "required", "temperature": 0.5},
    {"logprobs": True, "top_logprobs": 5, "temperature": 0.9},
    {"frequency_penalty": 0.5, "presence_penalty": 0.3, "repetition_penalty": 1.1, "min_p": 0.05, "temperature": 1.2},
    {"stop": ["the", "\n\n"], "logit_bias": {"50": 3}, "priority": -1, "temperature": 0.8},
)


def bodies():
    """One of each kind, whole and as a stream, long prompts and short ones."""
    made = []
    for at, fields in enumerate(KINDS):
        for stream in (False, True):
            text = "What is a KV cache?" if stream else "tell me of " + "cats and " * (20 * at) + "dogs"
            made.append({"messages": [{"role": "user", "content": text}], "max_tokens": 24, "seed": at, "stream": stream, **fields})
    return made


def answer_of(server, body, headers=None):
    """What a request was answered, without what differs from one time to the next."""
    status, text, _ = server.chat(headers=headers, **body)
    if status != 200:
        return status, text
    if not body["stream"]:
        return status, [{key: value for key, value in choice.items() if key != "message"} | {"message": without_ids(choice["message"])} for choice in text["choices"]]
    calls = [call["function"] for chunk in events(text)[0] for choice in chunk.get("choices", []) for call in choice["delta"].get("tool_calls") or []]
    return status, said(text), calls


def without_ids(message):
    return {**message, "tool_calls": [call["function"] for call in message.get("tool_calls") or []]}


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Load(unittest.TestCase):
    def test_streams_with_cancellations_say_what_each_says_alone(self):
        seed = 7
        with Served("--max-num-seqs", "12", "--max-model-len", "1024") as server:
            asked = bodies()
            alone = [answer_of(server, body) for body in asked]
            self.assertTrue(all(answer[0] == 200 for answer in alone), alone)
            watched, ended = threading.Event(), threading.Event()
            watcher = threading.Thread(target=self.watch, args=(server, watched, ended))
            watcher.start()
            with ThreadPoolExecutor(STREAMS) as pool:
                for wrong in pool.map(lambda at: self.client(server, random.Random(seed + at), asked, alone), range(STREAMS)):
                    self.assertEqual(wrong, [], f"seed {seed}")
            ended.set()
            watcher.join(60)
            self.assertTrue(watched.is_set())
            self.assertTrue(server.wait_for("vllm:num_requests_running", 0))
            self.assertEqual(server.metric("vllm:num_requests_waiting"), 0)
            self.assertEqual(server.metric("vllm:kv_cache_usage_perc"), 0)
            self.assertEqual(server.stop(), 0)

    @staticmethod
    def watch(server, watched, ended):
        """Reads everything that is told about the others' requests while they run."""
        while not ended.is_set():
            for path in ("/metrics", "/health", "/v1/models", "/v1/capabilities"):
                assert server.request("GET", path)[0] == 200, path
            watched.set()

    def client(self, server, chance, asked, alone):
        """Five requests, about one in three of them left before its end; what was answered otherwise than alone."""
        wrong = []
        for _ in range(5):
            at = chance.randrange(len(asked))
            if chance.random() < 0.35:
                self.leave(server, chance, asked[at])
            elif (found := answer_of(server, asked[at])) != alone[at]:
                wrong.append((asked[at], found, alone[at]))
        return wrong

    @staticmethod
    def leave(server, chance, body):
        """Asks for a long answer and goes away: at once, or with some of it read."""
        with contextlib.closing(server.connect()) as connection:
            server.send_chat(connection, **{**body, "max_tokens": 400})
            if chance.random() < 0.6:
                connection.recv(chance.choice((1, 100, 5000)))

    def test_told_to_end_while_all_of_them_run_it_finishes_them(self):
        server = Served("--max-num-seqs", "8")
        body = {"messages": QUESTION, "max_tokens": 60, "min_tokens": 60, "ignore_eos": True, "stream": True, "temperature": 1.0}
        alone = [said(server.chat(**body, seed=at)[1]) for at in range(4)]
        connections = [server.connect() for _ in range(STREAMS)]
        for at, connection in enumerate(connections):
            server.send_chat(connection, **body, seed=at % 4)
        self.assertTrue(server.wait_for("vllm:num_requests_waiting", STREAMS - 8))
        for connection in connections[20:]:
            connection.close()
        server.send_signal(signal.SIGTERM)
        with ThreadPoolExecutor(STREAMS) as pool:
            for at, text in enumerate(pool.map(read_all, connections[:20])):
                head, _, chunks = text.partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 200"), head)
                self.assertEqual(said(dechunked(chunks)), alone[at % 4])
        for connection in connections:
            connection.close()
        self.assertEqual(server.stop(), 0)


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Batch(unittest.TestCase):
    def test_many_at_once_say_what_they_say_one_by_one(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "in.jsonl")
            lines = [{"custom_id": str(at), "method": "POST", "url": "/v1/chat/completions", "body": {**body, "stream": False}} for at, body in enumerate(bodies())]
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
            said_by = []
            for concurrency in ("1", "16"):
                output = pathlib.Path(folder, f"out{concurrency}.jsonl")
                code, _, errors = run("batch", str(file), "-o", str(output), "--concurrency", concurrency, "--threads", "2", timeout=300)
                self.assertEqual(code, 0, errors)
                said_by.append(output.read_bytes())
            self.assertEqual(said_by[0], said_by[1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
