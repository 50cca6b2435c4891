"""Many clients at once: `gadfly serve` beside llama-server, on the same file, over HTTP, taking turns.

    python benchmarks/serving.py [MODEL] [--peer] [--peer-model FILE] [--peer-flags "-fa off"]
        [--only together gaps turns] [--clients 1,8,16] [--threads 2] [--rounds 3] [--tokens 64] [--results FILE]

    together   so many clients, each with a prompt of its own: tokens per second of all
    gaps       the longest pause of a hundred (p99) between two pieces of an answer of 2,000 tokens, while nothing else
               happens and while a prompt of 7,500 tokens is read
    turns      eight conversations that take turns: seconds to the first token of the next answer

Answers are greedy and as long as asked for. --peer-model gives the peer another file of the same model.
"""

import argparse
import json
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from time import perf_counter, sleep

import httpx2
import numpy as np

from gadfly.hub.library import Library
from gadfly.settings import available_processors, home
from peer import peer_name, program
from result import Result, add_options, take_turns

LONG, ANSWER = 7500, 2000  # tokens
CHATS = 8
WORDS = ("lighthouse", "violin", "glacier", "baker", "comet", "harbour", "beetle", "archive", "orchard", "tunnel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--peer", action="store_true", help="beside llama.cpp, see peer.py")
    parser.add_argument("--peer-model", type=Path)
    parser.add_argument("--peer-flags", default="")
    parser.add_argument("--only", nargs="+", choices=("together", "gaps", "turns"))
    parser.add_argument("--clients", default="1,8,16")
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    add_options(parser)
    given = parser.parse_args()
    path = Library(home()).resolve(given.model)
    if path is None:
        parser.error(f"there is no model {given.model} here; see `gadfly list`")
    found = Result("serving", peer=peer_name(path) if given.peer else None)
    with ExitStack() as stack:
        servers = {"gadfly": stack.enter_context(ours(path, given))}
        if given.peer:
            servers["llama.cpp"] = stack.enter_context(theirs(given.peer_model or path, given))
        for name, measure in (("together", together), ("gaps", gaps), ("turns", turns)):
            if not given.only or name in given.only:
                measure(servers, found, given, path.stem)
    found.publish(given)


@dataclass(frozen=True)
class Server:
    """One client for all requests, made before a clock runs: each would read certificates for 30 ms when it is made."""

    client: httpx2.Client

    def tokens(self, prompt: str, count: int) -> Iterator[float]:
        """When each piece of an answer of `count` tokens came."""
        body = {"prompt": prompt, "max_tokens": count, "temperature": 0, "stream": True, "ignore_eos": True}
        with self.client.stream("POST", "/v1/completions", json=body) as reply:
            reply.raise_for_status()
            for line in reply.iter_lines():
                if line.startswith("data: {") and json.loads(line[6:])["choices"]:
                    yield perf_counter()


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[Server]:
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log, httpx2.Client(base_url=url, timeout=600, trust_env=False) as client:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while True:
                if process.poll() is not None:
                    log.seek(0)
                    sys.exit(f"{command[0]} ended: {log.read().decode(errors='replace')[-500:]}")
                try:
                    if client.get("/v1/models", timeout=1).is_success and answers(client):
                        break
                except httpx2.TransportError:
                    sleep(0.1)
            yield Server(client)
        finally:
            process.terminate()
            process.wait()


def answers(client: httpx2.Client) -> bool:
    return client.post("/v1/completions", json={"prompt": "Once", "max_tokens": 1}).is_success


@contextmanager
def ours(path: Path, given: argparse.Namespace) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "gadfly", "serve", str(path), "--port", str(port), "--threads", str(given.threads)]
    with running(command, port) as server:
        yield server


@contextmanager
def theirs(path: Path, given: argparse.Namespace) -> Iterator[Server]:
    port, slots = free_port(), 16
    command = [
        str(program("llama-server")),
        "-m",
        str(path),
        "--port",
        str(port),
        "-t",
        str(given.threads),
        "-np",
        str(slots),
    ]
    command += ["-c", str(8192 * slots), *shlex.split(given.peer_flags)]
    with running(command, port) as server:
        yield server


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def text(words: int, seed: int) -> str:
    """No two are alike from their first word on."""
    random = np.random.default_rng(seed)
    return " ".join([str(seed), *(WORDS[i] for i in random.integers(len(WORDS), size=words))])


def together(servers: dict[str, Server], found: Result, given: argparse.Namespace, model: str) -> None:
    seeds = iter(range(10**6))
    for clients in map(int, given.clients.split(",")):

        def speed(server: Server, clients: int = clients) -> float:
            prompts = [text(24, next(seeds)) for _ in range(clients)]
            with ThreadPoolExecutor(clients) as pool:
                began = perf_counter()
                for _ in pool.map(lambda prompt: list(server.tokens(prompt, given.tokens)), prompts):
                    pass
                return float(clients * given.tokens) / (perf_counter() - began)

        times = take_turns({name: partial(speed, server) for name, server in servers.items()}, given.rounds)
        found.add(
            "tokens/s", times["gadfly"], times.get("llama.cpp", ()), model=model, what="together", clients=clients
        )


def gaps(servers: dict[str, Server], found: Result, given: argparse.Namespace, model: str) -> None:
    seeds = iter(range(10**6, 2 * 10**6))

    def pause(server: Server, disturbed: bool) -> float:
        """In milliseconds."""
        ended = Event()

        def disturb() -> None:
            for _ in server.tokens(text(LONG, next(seeds)), 1):  # about a token a word
                pass
            ended.set()

        with ThreadPoolExecutor(1) as pool:
            came = []
            for number, moment in enumerate(server.tokens(text(8, next(seeds)), ANSWER)):
                if number == 20 and disturbed:
                    pool.submit(disturb)
                if number >= 20:
                    came.append(moment)
                if ended.is_set():
                    break
            return float(np.percentile(np.diff(came), 99)) * 1000

    for disturbed in (False, True):
        subjects = {name: partial(pause, server, disturbed) for name, server in servers.items()}
        times = take_turns(subjects, given.rounds)
        label = "p99 gap beside a long prompt" if disturbed else "p99 gap alone"
        found.add("ms", times["gadfly"], times.get("llama.cpp", ()), model=model, what=label, clients=1 + disturbed)


def turns(servers: dict[str, Server], found: Result, given: argparse.Namespace, model: str) -> None:
    seeds = iter(range(2 * 10**6, 3 * 10**6))

    def wait(server: Server) -> float:
        """Median seconds to the first token of the second and third turns."""
        chats = [text(400, next(seeds)) for _ in range(CHATS)]
        waits = []
        for turn in range(3):
            for i, chat in enumerate(chats):
                began = perf_counter()
                first = next(server.tokens(chat, 1))
                if turn:
                    waits.append(first - began)
                chats[i] = f"{chat} {text(30, next(seeds))}"
        return float(np.median(waits)) * 1000

    times = take_turns({name: partial(wait, server) for name, server in servers.items()}, given.rounds)
    found.add("ms", times["gadfly"], times.get("llama.cpp", ()), model=model, what="next turn", clients=CHATS)


if __name__ == "__main__":
    main()
