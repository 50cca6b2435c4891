"""How fast the kernels of each instruction set multiply, beside what its multiply instructions could do at most.

    python benchmarks/kernels.py [FORMAT ...]        by default all that have a kernel

Billions of operations (two per weight and token) per second on one thread, for 1, 8 and 512 tokens and matrices of
4096 × 4096; for one token as many of them as caches do not hold, and the bytes of weights read per second. Programs
with and without the matrices take turns, and the medians' difference counts. The ceiling is a loop over registers that
does nothing else than multiply and add, integers for blocks and floats for floats. Prints JSON lines.
"""

import json
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from gadfly._native import Program, ThreadPool, int8_row_bytes, kernel_names, multiply_rate
from gadfly.batch import Batch, Span
from gadfly.evaluate.machine import processor, read_bandwidth
from gadfly.ops.native import Native
from gadfly.quant import FORMATS
from gadfly.quant.native import Encoder
from gadfly.weight import Int8, Plain, Quantised, Weight

SIZE = 4096
UNCACHED = 2**27  # bytes that are read for one token, at least
SECONDS, ROUNDS = 0.3, 4  # of each measurement, whichever is more; the first round does not count
PAGE = 16
TOKENS = (1, 8, 512)

Run = Callable[[], Any]


def main() -> None:
    names = sys.argv[1:] or [*FORMATS, "I8"]
    pool = ThreadPool(1)
    print(json.dumps({"processor": processor(), "gb": round(read_bandwidth(1, UNCACHED) / 1e9, 1)}), flush=True)
    for name in names:
        weight, native = weights(name), Native(1)
        matrix: Any = native.place(weight)
        matrices = [matrix, *(native.place(weight) for _ in range(UNCACHED // matrix.bytes))]
        for kernels in kernel_names():
            if kernels != "portable":
                print(json.dumps(row(pool, name, matrices, kernels)), flush=True)


def row(pool: ThreadPool, name: str, matrices: list[Any], kernels: str) -> dict[str, Any]:
    found: dict[str, Any] = {"format": name, "kernels": kernels}
    for tokens in TOKENS:
        some = matrices if tokens == 1 else matrices[:1]
        seconds = extra_seconds(pool, kernels, some, tokens) / len(some)
        found[f"gops {tokens}"] = round(2 * SIZE * SIZE * tokens / seconds / 1e9, 1)
        if tokens == 1:
            found["gb"] = round(matrices[0].bytes / seconds / 1e9, 1)
    found["ceiling"] = round(2 * multiply_rate(kernels, matrices[0].is_float) / 1e9, 1)
    found["share"] = round(found["gops 512"] / found["ceiling"], 2)
    return found


def weights(name: str) -> Weight:
    values = np.random.default_rng(0).normal(0, 0.02, (SIZE, SIZE)).astype(np.float32)
    if name == "F32":
        return Plain(values)
    if name == "I8":
        return Int8(np.rint(values * 1000).astype(np.int8), np.full((1, SIZE), 0x3A83, np.uint16))
    return Quantised(name, (SIZE, SIZE), Encoder(1).encode(name, Plain(values)))


def extra_seconds(pool: ThreadPool, kernels: str, matrices: list[Any], tokens: int) -> float:
    """What multiplying with all of the matrices adds to a program."""
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
    with_them, without = (median(taken[1:]) for taken in times.values())
    return with_them - without


def steps(pool: ThreadPool, kernels: str, matrices: list[Any], tokens: int, multiplied: bool = True) -> Run:
    """Embeds so many tokens, quantises them if the matrices want that, and multiplies them with each."""
    program = Program(kernels)
    x, out, result = (program.buffer(wanted, 4 * SIZE) for wanted in (False, False, True))
    program.embed(Native(1).pack(Plain(np.ones((1, SIZE), np.float32))), x)
    factor = x
    if not matrices[0].is_float:
        factor = program.buffer(False, int8_row_bytes(SIZE))
        program.quantise(x, 1, factor)
    for matrix in matrices if multiplied else []:
        program.linear(factor, None, matrix, out)
    program.select(x, result)
    batch = Batch.of([Span([0] * tokens, 0, range(-(-tokens // PAGE)), [tokens - 1])])
    arrays = batch.tokens, batch.positions, batch.starts, batch.page_ids, batch.page_starts, batch.rows
    return lambda: program.run(pool, *arrays, result)


if __name__ == "__main__":
    main()
