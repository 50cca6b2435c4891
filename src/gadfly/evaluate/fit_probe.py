"""How fast this machine is at what a model does: some seconds of the real kernels on weights that are all zero.

A step is mostly matrices, so each layout is timed by itself: one token through as many weights as the model has, as far
as is reasonable, so that caches help as much as they would help the model; and many tokens through a few. What is left
of a step is timed on small models, the frames: what a layer costs beside its matrices, what a token costs in it, and
what attention to earlier positions does. Everything takes turns, and the median of each counts: what else this machine
is doing is part of what somebody gets. What follows from it: `gadfly.evaluate.fit_speed`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from gadfly.batch import Batch, Span
from gadfly.engine import Executor
from gadfly.evaluate.fit import INT8, Held, Version, quantised
from gadfly.evaluate.fit_speed import Kernel, Speeds, attention_operations, layer_elements, matrix_seconds
from gadfly.evaluate.machine import read_bandwidth
from gadfly.llm import STEP_TOKENS
from gadfly.ops import Floats
from gadfly.ops.native import Native
from gadfly.quant import FORMATS
from gadfly.spec import Attention, Block, Dense, ModelSpec, PreNorm, Rope
from gadfly.weight import Int8, Plain, Quantised, Weight, Weights

__all__ = ["held_formats", "probe"]

WIDTH = 2048  # of the matrices that are timed
FAR = 1024  # a position whose attention can be told from that of position 0
PAGE = 16  # positions
LARGEST = 2**28  # bytes of matrices of one layout: more take seconds to make, and caches hold a part of these only
FEWEST_ROUNDS = 3
FRAME = "Q8_0"

Step = Callable[[Batch], Floats]


def held_formats() -> Mapping[str, Held]:
    """How this Gadfly holds each format in memory, found out by placing a matrix in it."""
    found = {}
    for name in (*FORMATS, INT8):
        placed: Any = Native(1).place(zeros(name, 8, 256))
        found[name] = Held(name, placed.bytes / (8 * 256))
    return found


def zeros(name: str, rows: int, columns: int) -> Weight:
    if name == "F32":
        return Plain(np.zeros((rows, columns), np.float32))
    if name == INT8:
        return Int8(np.zeros((columns, rows), np.int8), np.zeros((1, rows), np.uint16))
    return Quantised(name, (rows, columns), np.zeros((rows, FORMATS[name].row_bytes(columns)), np.uint8))


@dataclass(frozen=True)
class Trial:
    """A step to be timed: so many tokens from a position on."""

    step: Step
    tokens: int
    position: int = 0

    def seconds(self) -> float:
        pages = range(-(-(self.position + self.tokens) // PAGE))
        batch = Batch.of([Span([0] * self.tokens, self.position, pages, [self.tokens - 1])])
        began = perf_counter()
        self.step(batch)
        return perf_counter() - began


def typical_times(trials: Mapping[str, Trial], seconds: float) -> dict[str, float]:
    """The median time of each, of rounds over all of them that take so many seconds; of three rounds at least.

    A round that does not count comes first.
    """
    times: dict[str, list[float]] = {name: [] for name in trials}
    end, rounds = perf_counter() + seconds, 0
    while rounds <= FEWEST_ROUNDS or perf_counter() < end:
        for name, trial in trials.items():
            taken = trial.seconds()
            if rounds:
                times[name].append(taken)
        rounds += 1
    return {name: median(taken) for name, taken in times.items()}


def probe(threads: int, kernels: Iterable[str], held: Mapping[str, Held], size: int, seconds: float = 3.0) -> Speeds:
    """Measure these layouts with `size` bytes of matrices each, and at most `LARGEST`."""
    size = min(size, LARGEST)
    native = Native(threads)
    names = sorted({*kernels, FRAME})
    links = {name: make_links(native, name, size) for name in names}
    some = {name: links[name][: max(1, len(links[name]) // 16)] for name in names}
    narrow, wide = frame(256, 24), frame(512, 8)
    thin, thick = frame_step(native, narrow), frame_step(native, wide)
    times = typical_times(
        {
            **{f"{name} alone": Trial(chain(native, links[name]), 1) for name in names},
            **{f"{name} together": Trial(chain(native, some[name]), STEP_TOKENS) for name in names},
            "layers": Trial(thin, 1),
            "one": Trial(thick, 1),
            "one far": Trial(thick, 1, FAR),
            "many": Trial(thick, STEP_TOKENS),
            "many far": Trial(thick, STEP_TOKENS, FAR),
        },
        seconds,
    )
    measured = {
        name: Kernel(
            reads=sum(link.bytes for link in links[name]) / times[f"{name} alone"],
            computes=2 * len(some[name]) * WIDTH * WIDTH * STEP_TOKENS / times[f"{name} together"],
        )
        for name in names
    }
    return analyse(times, measured, held, narrow, wide, threads, read_bandwidth(threads, size))


def analyse(
    times: Mapping[str, float],
    kernels: Mapping[str, Kernel],
    held: Mapping[str, Held],
    narrow: Version,
    wide: Version,
    threads: int,
    bandwidth: float,
) -> Speeds:
    """What the steps of the frames leave when the time of their matrices is taken off. Nothing is below zero."""
    layer = (times["layers"] - matrix_seconds(narrow, held, kernels, 1)) / len(narrow.spec.blocks)
    layer = max(0.0, layer)

    def attending(tokens: int, near: str, far: str) -> float:
        more = attention_operations(wide.spec, tokens, FAR) - attention_operations(wide.spec, tokens, 0)
        return max(0.0, times[far] - times[near]) / more

    together = attending(STEP_TOKENS, "many", "many far")
    rest = (
        times["many"]
        - matrix_seconds(wide, held, kernels, STEP_TOKENS)
        - layer * len(wide.spec.blocks)
        - together * attention_operations(wide.spec, STEP_TOKENS, 0)
    )
    return Speeds(
        threads=threads,
        read_bandwidth=bandwidth,
        kernels=kernels,
        layer=layer,
        element=max(0.0, rest) / (STEP_TOKENS * layer_elements(wide.spec)),
        attention_alone=attending(1, "one", "one far"),
        attention_together=together,
    )


def make_links(native: Native, name: str, size: int) -> list[Any]:
    """Square matrices, as many as `size` bytes hold."""
    first: Any = native.place(zeros(name, WIDTH, WIDTH))
    return [first, *(native.place(zeros(name, WIDTH, WIDTH)) for _ in range(size // first.bytes - 1))]


def chain(native: Native, links: list[Any]) -> Step:
    """Each matrix multiplies what the one before it made."""
    ends = native.place(zeros("F16", 8, WIDTH))

    def forward(ops: Any, batch: Batch) -> Any:
        x = ops.embed(ends, batch)
        for link in links:
            x = ops.project(x, link, batch)
        return ops.project(ops.select(x, batch), ends, batch)

    return native.compile(forward)


def frame(dim: int, layers: int) -> Version:
    heads = dim // 64
    mixer = Attention(heads, heads // 2, 64, Rope(64, 10000.0), 0.125)
    block = Block(mixer, Dense(2 * dim, "silu"), PreNorm(1e-5))
    spec = ModelSpec(vocab=256, dim=dim, context=FAR + STEP_TOKENS, blocks=(block,) * layers, norm_eps=1e-5)
    return quantised(spec, tied=True, name=FRAME)


def frame_step(native: Native, version: Version) -> Step:
    spec, weights = version.spec, dict[str, Any]()
    for path, shape in spec.shapes():
        weight = Plain(np.ones(shape, np.float32)) if len(shape) == 1 else zeros(version.format_of(path), *shape)
        weights[path] = native.place(weight)
    return Executor(spec, Weights(weights), native, -(-spec.context // PAGE), PAGE).step
