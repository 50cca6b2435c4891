"""Reading a prompt and writing an answer: the plainest numbers of a model, beside llama.cpp's own llama-bench.

    python benchmarks/speed.py [MODEL] [--peer] [--peer-model FILE]... [--peer-flags "-fa 1"] [--threads 1,2]
        [--kernels K] [--rounds N] [--prompt 512] [--answer 48] [--results FILE] [--json]

Tokens per second without tokenizer and sampling, taking turns A B B A. --peer-model gives the peer other files than
ours, a row for each: the same model in the formats that it is best at, say. Answers begin at an empty context. The
last row of a number of threads says how much of the memory's measured bandwidth decoding takes up: the bytes of weights
that it reads in a second, over those of a loop that does nothing but read as many, in the same caches.
"""

import argparse
import shlex
from functools import partial
from pathlib import Path
from typing import Any

from gadfly.evaluate.machine import read_bandwidth
from gadfly.evaluate.speed import Gadfly
from gadfly.llm import load
from gadfly.settings import available_processors
from peer import bench, peer_name
from result import Result, add_options, take_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--peer", action="store_true", help="beside llama.cpp, with the same file")
    parser.add_argument("--peer-model", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--peer-flags", default="", help="further flags of llama-bench")
    parser.add_argument("--threads", default=str(available_processors()), help="numbers, with commas between")
    parser.add_argument("--kernels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--answer", type=int, default=48)
    add_options(parser)
    given = parser.parse_args()
    found = Result("speed")
    for threads in map(int, given.threads.split(",")):
        rows(found, threads, given)
    found.publish(given)


def rows(found: Result, threads: int, given: argparse.Namespace) -> None:
    llm = load(given.model, threads=threads, kernels=given.kernels)
    ours = Gadfly(llm, max(given.prompt, 1 + given.answer))

    def prefill() -> float:
        return float(given.prompt / ours.read(given.prompt))

    def decode() -> float:
        ours.read(1)
        return float(given.answer / ours.write(given.answer))

    files = given.peer_model or ([llm.path] if given.peer else [])
    found.peer = peer_name(files[0]) if files else None
    theirs = partial(bench, threads=threads, options=shlex.split(given.peer_flags))
    words: dict[str, Any] = {"model": llm.path.stem, "threads": threads, "kernels": llm.kernels}
    reading = {path.stem: partial(theirs, path, prompt=given.prompt) for path in files}
    writing = {path.stem: partial(theirs, path, answer=given.answer) for path in files}
    for of, own, others in ((f"prefill {given.prompt}", prefill, reading), ("decode", decode, writing)):
        times = take_turns({"": own, **others}, given.rounds)
        for name in others or [""]:
            file = {"file": f"beside {name}"} if given.peer_model else {}
            found.add("tokens/s", times[""], times[name] if others else (), **words, **file, of=of)
    bandwidth = read_bandwidth(threads, llm.bytes_per_token)
    shares = [100 * speed * llm.bytes_per_token / bandwidth for speed in times[""]]
    found.add("%", shares, **words, of="read bandwidth that decode takes up")


if __name__ == "__main__":
    main()
