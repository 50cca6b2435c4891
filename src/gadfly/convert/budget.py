"""A mix of formats for a size: bits are spent where the measured error falls fastest.

A weight's rounding adds noise to what a layer computes, in proportion to the squared error relative to the weight's own
size; noises add up. So the sum of these relative errors over all matrices is made small: from the lowest format
everywhere, the step up the ladder that takes off most error per byte is taken, again and again, until the size is
reached. Errors are measured on some rows from the middle of each matrix, or on noise while its file is not here yet:
nobody fetches a model twice for this.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gadfly.convert.mix import LADDER, fitting, is_small
from gadfly.convert.plan import piece_bytes
from gadfly.errors import RequestError
from gadfly.hub.progress import size_text
from gadfly.quant import decode
from gadfly.weight import Deferred, Plain, Stored
from gadfly.weights.export import OutTensor

__all__ = ["Measure", "choose_for", "measure_with"]

SAMPLE = 2**16  # weights of a tensor that errors are measured on

Measure = Callable[[OutTensor, str], float]  # the squared error of a format, relative to the tensor's squares


@dataclass(frozen=True, order=True)
class _Step:
    """From one format of a tensor to the next; ordered by error per byte, the most first."""

    gain: float
    tensor: int
    rung: int


def choose_for(
    size: int,
    others: int,
    tensors: Sequence[OutTensor],
    measure: Measure,
    bytes_of: Callable[[OutTensor, str], int] = piece_bytes,
) -> tuple[dict[str, str], dict[str, float]]:
    """Formats by name so that all tensors and `others` bytes together have at most `size`, and the errors they make.

    Raises RequestError if even the lowest formats do not fit.
    """
    rungs = [_rungs(tensor, bytes_of) for tensor in tensors]
    sizes = [[bytes_of(tensor, name) for name in names] for tensor, names in zip(tensors, rungs, strict=True)]
    errors = [
        [measure(tensor, name) if len(names) > 1 else 0.0 for name in names]
        for tensor, names in zip(tensors, rungs, strict=True)
    ]
    chosen = [0] * len(tensors)
    left = size - others - sum(row[0] for row in sizes)
    if left < 0:
        raise RequestError(
            f"the smallest this model can be is {size_text(size - left)}, not {size_text(size)}; take a larger size"
        )

    def steps(tensor: int) -> list[_Step]:
        """The best way up from where the tensor is: to whichever higher format takes off most error per byte."""
        here = chosen[tensor]
        higher = range(here + 1, len(rungs[tensor]))
        found = [
            _Step((errors[tensor][r] - errors[tensor][here]) / (sizes[tensor][r] - sizes[tensor][here]), tensor, r)
            for r in higher
        ]
        return [min(found)] if found else []

    queue = [step for tensor in range(len(tensors)) for step in steps(tensor)]
    heapq.heapify(queue)
    while queue:
        step = heapq.heappop(queue)
        cost = sizes[step.tensor][step.rung] - sizes[step.tensor][chosen[step.tensor]]
        if cost > left:
            continue
        left -= cost
        chosen[step.tensor] = step.rung
        for further in steps(step.tensor):
            heapq.heappush(queue, further)
    formats = {tensor.name: names[rung] for tensor, names, rung in zip(tensors, rungs, chosen, strict=True)}
    return formats, {tensor.name: row[rung] for tensor, row, rung in zip(tensors, errors, chosen, strict=True)}


def measure_with(encode: Callable[[str, Stored], NDArray[np.uint8]]) -> Measure:
    def measure(tensor: OutTensor, format_name: str) -> float:
        sample = _sample(tensor)
        exact = decode("F32", encode("F32", sample))
        rounded = decode(format_name, encode(format_name, sample))
        squares = float(np.square(exact, dtype=np.float64).sum())
        return float(np.square(rounded - exact, dtype=np.float64).sum()) / squares if squares else 0.0

    return measure


def _sample(tensor: OutTensor) -> Stored:
    part = len(tensor.parts) // 2
    rows = tensor.height(part)
    wanted = max(1, min(rows, SAMPLE // tensor.columns))
    if isinstance(tensor.parts[part], Deferred):
        return Plain(np.random.default_rng(0).standard_normal((wanted, tensor.columns), np.float32))
    first = (rows - wanted) // 2
    return tensor.rows(part, first, first + wanted)


def _rungs(tensor: OutTensor, bytes_of: Callable[[OutTensor, str], int]) -> list[str]:
    """The formats it may get, the smallest first."""
    if is_small(tensor):
        return ["F32"]
    names = dict.fromkeys(fitting(name, tensor.columns) for name in LADDER)
    return sorted(names, key=lambda name: bytes_of(tensor, name))
