"""Servers that bench/serve starts: ours, and peers' llama-server."""
import contextlib
import json
import pathlib
import shlex
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import peer_models

START_SECONDS = 120.0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(url, timeout=5.0):
    """(status, text); status 0: no answer."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Contestant:
    """A server that is started for one figure and ended after it."""

    def __init__(self, name, threads):
        self.name, self.threads, self.ready_seconds = name, threads, 0.0

    def command(self, port, streams, context):
        raise NotImplementedError

    def described(self):
        """Its command line for reports, which say nothing of this machine's folders."""
        words = (str(part) for part in self.command("PORT", "N", 1))
        return shlex.join(pathlib.Path(word).name if word.startswith("/") else word for word in words)

    @contextlib.contextmanager
    def start(self, streams, context):
        """Gives the base URL of a server with room for so many streams of so many tokens. It is up when /health says 200."""
        port = free_port()
        with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "log", "w+", encoding="utf-8") as log:
            begin = time.monotonic()
            process = subprocess.Popen([str(part) for part in self.command(port, streams, context)], cwd=folder, stdout=log, stderr=log)
            try:
                while get(f"http://127.0.0.1:{port}/health")[0] != 200:
                    if process.poll() is not None or time.monotonic() - begin > START_SECONDS:
                        log.seek(0)
                        raise SystemExit(f"{self.described()} does not come up:\n{log.read()[-2000:]}")
                    time.sleep(0.002)
                self.ready_seconds = time.monotonic() - begin
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def running(self, url):
        """Requests under way, at best those that have had a token."""
        raise NotImplementedError

    def wait_for_running(self, url, streams, seconds=60.0):
        until = time.monotonic() + seconds
        while self.running(url) < streams and time.monotonic() < until:
            time.sleep(0.02)


class Corbel(Contestant):
    def __init__(self, program, model, threads, flags):
        super().__init__("corbel", threads)
        self.program, self.model, self.flags = program, pathlib.Path(model).absolute(), shlex.split(flags)

    def command(self, port, streams, context):
        return [self.program.absolute(), "serve", self.model, "--port", port, "--threads", self.threads, "--max-num-seqs", streams,
                "--max-model-len", context + 64, "--no-drafts", *self.flags]

    def running(self, url):
        """A short prompt overtakes longer ones that wait: only tokens show that those are through."""
        text = get(url + "/metrics")[1]
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        named = lambda name: sum(float(value) for key, value in values.items() if key.split("{")[0] == name)
        return named("vllm:time_to_first_token_seconds_count") - named("vllm:e2e_request_latency_seconds_count")


class Peer(Contestant):
    def __init__(self, name, program, model, threads, flags):
        super().__init__(name, threads)
        self.program, self.model, self.flags = pathlib.Path(program).absolute(), pathlib.Path(model).absolute(), shlex.split(flags)
        help_text = subprocess.run([str(self.program), "--help"], capture_output=True, text=True, errors="replace").stdout
        self.slots = ["--slots"] if "--slots" in help_text else []

    def command(self, port, streams, context):
        room = "CONTEXT" if streams == "N" else int(streams) * (context + 64)
        return [self.program, "-m", self.model, "--host", "127.0.0.1", "--port", port, "-t", self.threads, "-np", streams, "-c", room,
                "-b", 2048, "-ub", 512, "-fa", "on", *self.slots, *self.flags]

    def running(self, url):
        status, text = get(url + "/slots")
        if status != 200:
            return 0
        return sum(bool(slot.get("is_processing", slot.get("state", 0))) for slot in json.loads(text))


def contestants_of(args, corbel, root, say):
    named = lambda entries: dict(entry.split("=", 1) for entry in entries)
    models, flags = named(args.peer_model), named(args.peer_flags)
    found = [Corbel(corbel, args.model or our_model(args, corbel, say), args.threads, args.flags)]
    for name, program in named(args.peer).items():
        if name not in models:
            raise SystemExit(f"--peer {name} has no model: give --peer-model {name}=GGUF")
        for path in (program, models[name]):
            if not pathlib.Path(path).exists():
                raise SystemExit(f"--peer {name}: {path} is not there")
        found.append(Peer(name, program, models[name], args.threads, flags.get(name, "")))
    return found


def our_model(args, corbel, say):
    """The shape of --config with dummy weights, as bench/engine makes it, packed once."""
    config = pathlib.Path(args.config)
    if not config.exists():
        raise SystemExit(f"{config} is not there; give a model's config.json by --config FILE, the folder that holds configs/ by CORBEL_TEST_DATA, "
                         "or a model by --model")
    made = peer_models.PeerModels(peer_models.Shape(config, config.stem.removeprefix("bench_")), args.models, args.threads, say)
    path = made.folder / "corbel-w4.corbel"
    if not path.exists():
        source = made.file("", "", "bf16")
        say(f"packing {path}")
        partial = path.with_suffix(".partial.corbel")
        done = subprocess.run([str(corbel), "compile", str(source), "--quant", "w4", "--output", str(partial)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"corbel compile ended with {done.returncode}: {done.stderr[-1000:]}")
        partial.rename(path)
    return path
