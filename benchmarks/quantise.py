"""How fast weights are encoded, and how well, beside llama.cpp's quantiser: `make bench-peer` installs that.

    python benchmarks/quantise.py [ROWS] [COLUMNS] [FORMAT ...]        by default 4096 × 4096 and all with blocks

Speed: millions of weights per second from float32, with one thread and with two, in turn A B B A; medians of the runs.
llama.cpp's function has one thread, so two are two halves of the rows. Errors: root mean square relative to that of the
weights, in percent, for normally distributed weights, heavy tails, and weights like Grok-1's int8 rows; once
as they are, once with an importance matrix, which then weighs the errors. Prints JSON.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from gadfly.quant import FORMATS, decode
from gadfly.quant.native import Encoder
from gadfly.weight import Int8, Plain

ROUNDS = 3  # of A B B A
THREADS = (1, 2)
FOR_ERRORS = 512  # rows are enough

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class Peer:
    """llama.cpp's quantiser, on `threads` stretches of rows at once."""

    def __init__(self, threads: int) -> None:
        self.library = ctypes.CDLL(str(next(Path(llama_cpp.__file__).parent.glob("lib/libggml-base.*"))))
        self.library.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.pool = ThreadPoolExecutor(threads)
        self.threads = threads

    def encode(self, name: str, weights: Floats, importance: Floats | None = None) -> Bytes:
        rows, columns = weights.shape
        blocks = np.empty((rows, FORMATS[name].row_bytes(columns)), np.uint8)

        def part(index: int) -> None:
            first, stop = rows * index // self.threads, rows * (index + 1) // self.threads
            self.library.ggml_quantize_chunk(
                ctypes.c_int(FORMATS[name].ggml_id),
                ctypes.c_void_p(weights.ctypes.data),
                ctypes.c_void_p(blocks.ctypes.data),
                ctypes.c_int64(first * columns),
                ctypes.c_int64(stop - first),
                ctypes.c_int64(columns),
                ctypes.c_void_p(None if importance is None else importance.ctypes.data),
            )

        list(self.pool.map(part, range(self.threads)))
        return blocks


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    rows, columns = (*numbers, 4096, 4096)[:2] if len(numbers) != 1 else (numbers[0], 4096)
    names = [argument for argument in sys.argv[1:] if not argument.isdigit()]
    names = names or [name for name, form in FORMATS.items() if form.block_size > 1]
    weights = np.random.default_rng(0).normal(0, 0.02, (rows, columns)).astype(np.float32)
    importance = np.random.default_rng(1).gamma(0.5, 1, columns).astype(np.float32)
    kinds = samples(min(rows, FOR_ERRORS), columns)
    for name in names:
        found = {"format": name, **{f"threads {threads}": speeds(name, weights, threads) for threads in THREADS}}
        for kind, sample in kinds.items():
            found[kind] = errors(name, sample, importance)
        print(json.dumps(found), flush=True)
    print(json.dumps({"from int8, threads 2": {name: int8_speed(name, rows, columns) for name in names}}))


def samples(rows: int, columns: int) -> dict[str, Floats]:
    rng = np.random.default_rng(2)
    kinds = {"normal": rng.normal(0, 0.02, (rows, columns)), "heavy": 0.02 * rng.standard_t(4, (rows, columns))}
    return {**{kind: x.astype(np.float32) for kind, x in kinds.items()}, "int8": int8(rows, columns).decode()}


def int8(rows: int, columns: int) -> Int8:
    """Codes of a normal distribution whose peak in each of eight groups of a row is 127, with scales of bfloat16."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 0.02, (8, columns // 8, rows)).astype(np.float32)
    scales = (np.abs(values).max(axis=1) / 127).view(np.uint32) >> 16
    steps = (scales << 16).view(np.float32)[:, None]
    codes = np.rint(values / steps).clip(-127, 127).astype(np.int8)
    return Int8(codes.reshape(columns, rows), scales.astype(np.uint16))


def speeds(name: str, weights: Floats, threads: int) -> dict[str, float]:
    encoder, peer = Encoder(threads), Peer(threads)

    def ours() -> Bytes:
        return encoder.encode(name, Plain(weights))

    def theirs() -> Bytes:
        return peer.encode(name, weights)

    ours()
    peer.encode(name, weights[:64])
    times: dict[Callable[[], Bytes], list[float]] = {ours: [], theirs: []}
    for _ in range(ROUNDS):
        for run in (ours, theirs, theirs, ours):
            began = perf_counter()
            run()
            times[run].append(perf_counter() - began)
    a, b = (weights.size / median(times[run]) / 1e6 for run in (ours, theirs))
    return {"gadfly": round(a, 1), "llama.cpp": round(b, 1), "ratio": round(a / b, 2)}


def int8_speed(name: str, rows: int, columns: int) -> float:
    encoder, weight, times = Encoder(2), int8(rows, columns), []
    for _ in range(2 * ROUNDS):
        began = perf_counter()
        encoder.encode(name, weight)
        times.append(perf_counter() - began)
    return round(rows * columns / median(times) / 1e6, 1)


def errors(name: str, weights: Floats, importance: Floats) -> dict[str, list[float]]:
    """[plain, weighted by importance] of both."""
    ours, theirs = Encoder(2), Peer(1)
    return {
        "gadfly": [
            error(name, weights, ours.encode(name, Plain(weights)), np.ones_like(importance)),
            error(name, weights, ours.encode(name, Plain(weights), importance), importance),
        ],
        "llama.cpp": [
            error(name, weights, theirs.encode(name, weights), np.ones_like(importance)),
            error(name, weights, theirs.encode(name, weights, importance), importance),
        ],
    }


def error(name: str, weights: Floats, blocks: Bytes, importance: Floats) -> float:
    lost = decode(name, blocks) - weights
    share = (importance * lost**2).mean(dtype=np.float64) / (importance * weights**2).mean(dtype=np.float64)
    return round(100 * float(np.sqrt(share)), 4)


if __name__ == "__main__":
    main()
