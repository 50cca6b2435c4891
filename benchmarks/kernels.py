"""How fast the kernels of each instruction set multiply, beside what its multiply instructions could do at most.

    python benchmarks/kernels.py [FORMAT ...] [--kernels avx2] [--tokens 1,8,512] [--results FILE] [--json]

Billions of operations (two per weight and token) per second on one thread, for matrices of 4096 × 4096; by default in
all formats that have a kernel. Programs with and without the matrices take turns, and the difference counts. Beside
them is what the machine could do at most: a loop over registers that does nothing else than multiply and add, integers
for blocks and floats for floats. One token is limited by memory instead: then as many matrices take part as caches do
not hold, and the bytes of weights read per second are beside those of a loop that does nothing else than read.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from gadfly._native import Program, ThreadPool, int8_row_bytes, kernel_names, multiply_rate
from gadfly.batch import Batch, Span
from gadfly.evaluate.machine import read_bandwidth
from gadfly.ops.native import Native
from gadfly.quant import FORMATS
from gadfly.quant.native import Encoder
from gadfly.weight import Int8, Plain, Quantised, Weight
from result import Result, add_options

SIZE = 4096
UNCACHED = 2**27  # bytes that are read for one token, at least
SECONDS, ROUNDS = 0.3, 4  # of each measurement, whichever is more; the first round does not count
PAGE = 16
LIMIT = "limit: a loop over registers that multiplies and adds; for GB/s, one that reads memory"

Run = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", default=[*FORMATS, "I8"])
    parser.add_argument(
        "--kernels", choices=kernel_names(), help="one instruction set; by default all but the portable"
    )
    parser.add_argument("--tokens", default="1,8,512", help="numbers, with commas between")
    add_options(parser)
    given = parser.parse_args()
    pool, found = ThreadPool(1), Result("kernels", LIMIT)
    for name in given.formats:
        weight, native = weights(name), Native(1)
        matrix: Any = native.place(weight)
        matrices = [matrix, *(native.place(weight) for _ in range(UNCACHED // matrix.bytes))]
        for kernels in [given.kernels] if given.kernels else [one for one in kernel_names() if one != "portable"]:
            for tokens in map(int, given.tokens.split(",")):
                rows(found, pool, name, matrices, kernels, tokens)
    found.publish(given)


def rows(found: Result, pool: ThreadPool, name: str, matrices: list[Any], kernels: str, tokens: int) -> None:
    some = matrices if tokens == 1 else matrices[:1]
    times = [seconds / len(some) for seconds in extra_seconds(pool, kernels, some, tokens)]
    words: dict[str, Any] = {"format": name, "kernels": kernels, "tokens": tokens}
    if tokens == 1:
        memory = [read_bandwidth(1, UNCACHED) / 1e9]
        found.add("GB/s", [matrices[0].bytes / seconds / 1e9 for seconds in times], memory, **words)
    else:
        limit = [2 * multiply_rate(kernels, matrices[0].is_float) / 1e9]
        found.add("GOPS", [2 * SIZE * SIZE * tokens / seconds / 1e9 for seconds in times], limit, **words)


def weights(name: str) -> Weight:
    values = np.random.default_rng(0).normal(0, 0.02, (SIZE, SIZE)).astype(np.float32)
    if name == "F32":
        return Plain(values)
    if name == "I8":
        return Int8(np.rint(values * 1000).astype(np.int8), np.full((1, SIZE), 0x3A83, np.uint16))
    return Quantised(name, (SIZE, SIZE), Encoder(1).encode(name, Plain(values)))


def extra_seconds(pool: ThreadPool, kernels: str, matrices: list[Any], tokens: int) -> list[float]:
    """What multiplying with all of the matrices adds to a program, for each round."""
    times: dict[Run, list[float]] = {
        steps(pool, kernels, matrices, tokens): [],
        steps(pool, kernels, matrices[:1], tokens, multiplied=False): [],
    }
    end = perf_counter() + SECONDS
    while perf_counter() < end or any(len(taken) < ROUNDS for taken in times.values()):
        for run, taken in times.items():
            began = perf_counter()
            run()
            taken.append(perf_counter() - began)
    with_them, without = (taken[1:] for taken in times.values())
    return [seconds - median(without) for seconds in with_them]


def steps(pool: ThreadPool, kernels: str, matrices: list[Any], tokens: int, multiplied: bool = True) -> Run:
    """Embeds so many tokens, quantises them if the matrices want that, and multiplies them with each."""
    program = Program(kernels)
    x, out, result = (program.buffer(wanted, 4 * SIZE) for wanted in (False, False, True))
    program.embed(Native(1).pack(Plain(np.ones((1, SIZE), np.float32))), x)
    factor = x
    if not matrices[0].is_float:
        factor = program.buffer(False, int8_row_bytes(SIZE))
        program.quantise(x, factor)
    for matrix in matrices if multiplied else []:
        program.linear(factor, None, matrix, out)
    program.select(x, result)
    batch = Batch.of([Span([0] * tokens, 0, range(-(-tokens // PAGE)), [tokens - 1])])
    arrays = batch.tokens, batch.positions, batch.starts, batch.page_ids, batch.page_starts, batch.rows
    no_strengths = np.zeros((0, tokens), np.float32)
    return lambda: program.run(pool, *arrays, no_strengths, result)


if __name__ == "__main__":
    main()
