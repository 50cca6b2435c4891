"""Answers to many at once: our engine beside llama.cpp's batched bench, on the same file, taking turns.

    python benchmarks/batched.py [MODEL] [--peer] [--sequences 1,2,4,8,16] [--threads 2]
        [--rounds 3] [--prompt 16] [--tokens 48] [--kernels avx2] [--peer-flags "-fa off"] [--results FILE] [--json]

Tokens per second of all answers together, after a prompt each that is not counted; medians of rounds, A B B A, after
one that does not count. Ours is the whole engine: scheduling, steps, and the choice of every token (greedy); the peer's
bench computes the same batches and chooses nothing. Nothing is guessed ahead.
"""

import argparse
import json
import shlex
import subprocess
from pathlib import Path
from time import perf_counter
from typing import Any

from gadfly.completion import Sampling
from gadfly.engine import Engine, Executor, Request
from gadfly.hub.library import Library
from gadfly.llm import PAGE_SIZE, STEP_TOKENS
from gadfly.ops.native import Native
from gadfly.settings import available_processors, home
from gadfly.weights.load import open_model
from peer import peer_name, program
from result import Result, add_options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--peer", action="store_true", help="beside llama.cpp, see peer.py")
    parser.add_argument("--peer-flags", default="", help="further flags of llama-batched-bench")
    parser.add_argument("--sequences", default="1,2,4,8,16")
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--kernels")
    add_options(parser)
    given = parser.parse_args()
    path = Library(home()).resolve(given.model)
    if path is None:
        parser.error(f"there is no model {given.model} here; see `gadfly list`")
    subjects: dict[str, Any] = {"gadfly": Ours(path, given)}
    if given.peer:
        subjects["llama.cpp"] = Peer(path, given)
    counts = [int(count) for count in given.sequences.split(",")]
    rounds: dict[str, dict[int, list[float]]] = {name: {count: [] for count in counts} for name in subjects}
    for turn in range(given.rounds + 1):
        for name in list(subjects)[:: 1 if turn % 2 else -1]:
            for count, speed in subjects[name].speeds(counts).items():
                if turn:
                    rounds[name][count].append(speed)
    found = Result("batched", peer_name(path) if given.peer else None)
    words = {"model": path.stem, "threads": given.threads, "kernels": subjects["gadfly"].kernels}
    for count in counts:
        theirs = rounds["llama.cpp"][count] if given.peer else ()
        found.add("tokens/s", rounds["gadfly"][count], theirs, **words, sequences=count)
    found.publish(given)


class Ours:
    def __init__(self, path: Path, given: argparse.Namespace) -> None:
        model = open_model(path)
        self._native = Native(given.threads, given.kernels)
        self._spec, self._weights = model.spec, model.weights.map(self._native.place)
        self._prompt, self._tokens = given.prompt, given.tokens
        self.kernels = self._native.kernels

    def speeds(self, counts: list[int]) -> dict[int, float]:
        return {count: self._speed(count) for count in counts}

    def _speed(self, count: int) -> float:
        spec, pages = self._spec, count * -(-(self._prompt + self._tokens + 1) // PAGE_SIZE)
        executor = Executor(spec, self._weights, self._native, pages, PAGE_SIZE)
        engine = Engine(executor.step, spec.vocab, spec.context, pages, PAGE_SIZE, STEP_TOKENS, speculate=False)
        prompts = [tuple((100 + 7 * i + 31 * n) % spec.vocab for i in range(self._prompt)) for n in range(count)]
        sampling = Sampling(temperature=0)
        handles = [engine.submit(Request(prompt, self._tokens, sampling, ignore_eos=True)) for prompt in prompts]
        while not all(handle.ids for handle in handles):
            engine.step()
        began, already = perf_counter(), sum(len(handle.ids) for handle in handles)
        while not any(handle.finished for handle in handles):
            engine.step()
        return (sum(len(handle.ids) for handle in handles) - already) / (perf_counter() - began)


class Peer:
    def __init__(self, path: Path, given: argparse.Namespace) -> None:
        positions = max(int(count) for count in given.sequences.split(",")) * (given.prompt + given.tokens)
        self._command = [
            str(program("llama-batched-bench")),
            "-m",
            str(path),
            "-c",
            str(positions),
            "-b",
            "2048",
            "-ub",
            "512",
        ]
        self._command += ["-npp", str(given.prompt), "-ntg", str(given.tokens), "-npl", given.sequences]
        self._command += ["-t", str(given.threads), "-tb", str(given.threads), "--output-format", "jsonl"]
        self._command += shlex.split(given.peer_flags)

    def speeds(self, counts: list[int]) -> dict[int, float]:
        done = subprocess.run(self._command, capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found = {line["pl"]: line["speed_tg"] for line in lines}
        return {count: found[count] for count in counts}


if __name__ == "__main__":
    main()
