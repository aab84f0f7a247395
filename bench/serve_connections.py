#!/usr/bin/env python3
"""What connections of corbel serve cost in memory, and whether many requests in a row leave any behind.

  usage: bench/serve_connections.py CORBEL [--idle 2000] [--streaming 500] [--requests 10000] [--tls CERT KEY] [--limit-kib 64]

Memory is what the kernel says (private and resident, /proc/PID/smaps). Growth inside blocks that the server reserved at its start (cache
pages, scratch: mappings of 4 MB and more that are no arenas of malloc) is told apart: it is paid once, not by connection. Exit code 1
when a connection costs more than the limit, or when memory grows with requests.
"""
import argparse
import asyncio
import json
import re
import resource
import ssl
import subprocess
import sys
import time

ARENA = 64 << 20


def memory(process):
    """{address: (KiB of private resident memory, KiB of the mapping, name)}"""
    found, address, size, name, private = {}, None, 0, "", 0
    with open(f"/proc/{process}/smaps") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)", line)
            if head:
                if address is not None:
                    found[address] = (private, size, name)
                address, name, private = int(head.group(1), 16), head.group(3), 0
                size = (int(head.group(2), 16) - address) >> 10
            elif line.startswith(("Private_Clean:", "Private_Dirty:")):
                private += int(line.split()[1])
    found[address] = (private, size, name)
    return found


def growth(before, after):
    """(KiB that grew by what happened, KiB in blocks reserved before)"""
    by_use, reserved = 0, 0
    for address, (private, size, name) in after.items():
        old = before.get(address, (0, 0, ""))
        grown = private - old[0]
        is_block = old[1] >= 4096 and not name and address % ARENA != 0
        if is_block:
            reserved += grown
        else:
            by_use += grown
    by_use -= sum(private for address, (private, _, _) in before.items() if address not in after)
    return by_use, reserved


class Client:
    def __init__(self, port, context):
        self.port, self.context = port, context

    async def open(self):
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, limit=1 << 20)

    async def ask(self, connection, method, path, body=None):
        reader, writer = connection
        text = json.dumps(body) if body is not None else ""
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if re.search(rb"[Tt]ransfer-[Ee]ncoding: chunked", head):
            return int(head.split()[1]), await reader.readuntil(b"\r\n0\r\n\r\n")
        length = re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", head)
        return int(head.split()[1]), await reader.readexactly(int(length.group(1))) if length else b""

    async def many(self, count):
        made = []
        for at in range(0, count, 50):
            made += await asyncio.gather(*(self.open() for _ in range(min(50, count - at))))
        return made


def chat(tokens, **fields):
    return {"messages": [{"role": "user", "content": "What is a KV cache?"}], "max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True, **fields}


async def measure(client, process, options):
    failed = False
    first = await client.open()
    for _ in range(20):
        await client.ask(first, "POST", "/v1/chat/completions", chat(20))
    before = memory(process)
    idle = await client.many(options.idle)
    for at in range(0, len(idle), 100):
        await asyncio.gather(*(client.ask(connection, "GET", "/health") for connection in idle[at:at + 100]))
    used, reserved = growth(before, memory(process))
    print(f"{options.idle} idle connections: {used / options.idle:.1f} KiB each")
    failed |= used / options.idle > options.limit_kib
    for _, writer in idle:
        writer.close()
    await asyncio.sleep(1)  # the server sees them go; nothing is measured by it

    before = memory(process)
    streams = await client.many(options.streaming)
    body = chat(options.tokens, stream=True)

    async def begin(connection):
        _, writer = connection
        text = json.dumps(body)
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        await connection[0].readuntil(b"data: ")

    await asyncio.gather(*(begin(connection) for connection in streams))
    used, reserved = growth(before, memory(process))
    print(f"{options.streaming} streaming connections: {used / options.streaming:.1f} KiB each, and {reserved / 1024:.1f} MiB in blocks reserved before")
    failed |= used / options.streaming > options.limit_kib
    for _, writer in streams:
        writer.close()
    await asyncio.sleep(2)

    return failed | (options.requests > 0 and await soak(client, process, options.requests))


def kinds(at):
    """What the request of that number asks for, (path, body, status that is expected); every one has words of its own."""
    ask = chat(3, messages=[{"role": "user", "content": f"Question {at}: what is a page?"}], seed=at)
    schema = {"type": "object", "properties": {f"p{at % 1000}": {"enum": [f"v{at}", 1]}}, "required": [f"p{at % 1000}"], "additionalProperties": False}
    tool = {"type": "function", "function": {"name": f"f{at}", "parameters": schema}}
    ruled = {"messages": ask["messages"], "max_tokens": 3}
    return [("/v1/chat/completions", ask, 200),
            ("/v1/chat/completions", {**ask, "stream": True, "logprobs": True, "top_logprobs": 3}, 200),
            ("/v1/completions", {"prompt": f"{at} is", "max_tokens": 3}, 200),
            ("/v1/chat/completions", {**ruled, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}, 200),
            ("/v1/chat/completions", {**ruled, "tools": [tool], "tool_choice": "required"}, 200),
            ("/v1/chat/completions", {**ruled, "structured_outputs": {"regex": f"[a-z]{{2,9}}{at}"}}, 200),
            ("/v1/chat/completions", {**ask, "n": 3, "stop": [f"stop{at}"]}, 200),
            ("/tokenize", {"prompt": f"word{at} " * 20}, 200),
            ("/v1/chat/completions", {**ask, "temperature": -1}, 400),
            (f"/nowhere/{at}", {}, 404)]


async def soak(client, process, requests):
    """Requests of all kinds, one after the other; each tenth connection is a new one, whose client leaves in the middle of its answer."""
    start = memory(process)
    held = sum(private for private, _, _ in start.values()) / 1024

    def total():
        """MiB, without what fills up in blocks that were reserved before: cached prompts keep the pages they have."""
        return held + growth(start, memory(process))[0] / 1024

    connection, totals, begun = await client.open(), [], time.monotonic()
    for at in range(requests):
        if at % (requests // 10) == 0:
            totals.append(total())
        if at % 10 == 9:
            left = await client.open()
            text = json.dumps(chat(100, stream=True))
            left[1].write(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
            await left[0].readuntil(b"data: ")
            left[1].close()
        kind = kinds(at)
        path, body, expected = kind[at % len(kind)]
        status, answer = await client.ask(connection, "POST", path, body)
        assert status == expected, (path, body, status, answer)
    totals.append(total())
    print(f"{requests} requests in a row, {time.monotonic() - begun:.1f} s: private memory " + " ".join(f"{one:.1f}" for one in totals) + f" MiB, and {growth(start, memory(process))[1] / 1024:.1f} MiB in blocks reserved before")
    return totals[-1] > totals[1] + 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corbel")
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--streaming", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=200, help="of each stream")
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--limit-kib", type=float, default=64.0)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < options.idle + 100:
        print(f"skipped: the system allows {most} open files")
        return 0
    tls = ["--tls-cert", options.tls[0], "--tls-key", options.tls[1]] if options.tls else []
    process = subprocess.Popen([options.corbel, "serve", "--port", "0", "--max-num-seqs", str(min(options.streaming, 1024)), "--max-model-len", "256", "--max-queue", "1000",
                                "--max-connections", "10000", "--idle-timeout", "600", *tls], stderr=subprocess.PIPE, text=True)
    try:
        line = ""
        while "serving" not in line:
            line = process.stderr.readline()
            assert line, "the server did not start"
        context = ssl.create_default_context(cafile=options.tls[0]) if options.tls else None
        failed = asyncio.run(measure(Client(int(re.search(r":(\d+) after", line).group(1)), context), process.pid, options))
    finally:
        process.terminate()
        process.wait()
    print("too much" if failed else "ok")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
