"""Reads a text with a model and tells what meets its matrices, in memory near the size of the file that is mapped.

The model is run by the definition of its operations, in float32. Of its weights only a stretch of rows is decoded at a
time; to make up for decoding, several chunks of text are read in one step. Every chunk is read from its beginning, and
no logits are computed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gadfly.batch import Batch, Ints, Span
from gadfly.model.transformer import forward
from gadfly.ops import Floats
from gadfly.ops.reference import PagedCache, Reference
from gadfly.spec import MoE
from gadfly.weight import Matrix, Stack, Weight, Weights, unstack
from gadfly.weights.load import ModelFile

__all__ = ["Meeting", "observe", "steps_of"]

STEP_TOKENS = 2048  # read together, in chunks
STRETCH = 2**22  # weights that are decoded together

# The path of a matrix or a stack, which of how many matrices of it, and what it is multiplied with, (rows, in).
Meeting = Callable[[str, int, int, Floats], None]


def observe(model: ModelFile, chunks: Sequence[Sequence[int]], met: Meeting) -> None:
    """Read chunks, together."""
    ops = _Observed(model, met)
    batch = Batch.of([Span(chunk, 0, (), range(len(chunk))) for chunk in chunks])
    forward(model.spec, ops.weights, batch, ops, _NoPast())


def steps_of(chunks: Iterable[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Chunks that are read together."""
    step: list[Sequence[int]] = []
    for chunk in chunks:
        if step and sum(map(len, step)) + len(chunk) > STEP_TOKENS:
            yield step
            step = []
        step.append(chunk)
    if step:
        yield step


@dataclass(frozen=True, eq=False)
class _Named:
    """A weight that has not been decoded, and where it belongs."""

    path: str
    weight: Weight


class _NoPast(PagedCache):
    """Holds the keys and values of one sequence while one layer is computed: nothing is read again later."""

    def __init__(self) -> None:
        self.page_size = 1

    def store(self, layer: int, pages: Ints, positions: Ints, k: Floats, v: Floats) -> None:  # noqa: ARG002
        self._held = k, v

    def load(self, layer: int, pages: Ints, length: int) -> tuple[Floats, Floats]:  # noqa: ARG002
        return self._held


class _Observed:
    """The reference's operations on weights that are decoded when they are met; what meets a matrix is told."""

    def __init__(self, model: ModelFile, met: Meeting) -> None:
        self.model = model
        self.met = met
        self.weights = Weights({path: _Named(path, model.weights[path]) for path in model.weights})
        exact = Reference()
        self.exact = exact
        self.rope, self.attention, self.gated = exact.rope, exact.attention, exact.gated
        self.softcap, self.scale, self.add, self.select = exact.softcap, exact.scale, exact.add, exact.select

    def embed(self, table: _Named, batch: Batch) -> Floats:
        assert not isinstance(table.weight, Stack)
        used, back = np.unique(batch.tokens, return_inverse=True)
        return self.exact.place(table.weight.rows(used.astype(np.intp)))[back]

    def rms_norm(self, x: Floats, weight: _Named, eps: float) -> Floats:
        return self.exact.rms_norm(x, self.exact.place(weight.weight), eps)

    def shift(self, x: Floats, bias: _Named) -> Floats:
        return self.exact.shift(x, self.exact.place(bias.weight))

    def project(self, x: Floats, weight: _Named, batch: Batch) -> Floats:  # noqa: ARG002
        self.met(weight.path, 0, 1, x)
        if weight.path == "output":
            return x[:, :0]  # nobody asks for logits
        assert not isinstance(weight.weight, Stack)
        return self._product(x, weight.weight)

    def route(self, x: Floats, router: _Named, spec: MoE) -> Floats:
        self.met(router.path, 0, 1, x)
        return self.exact.route(x, self.exact.place(router.weight), spec)

    def experts(
        self,
        x: Floats,
        routing: Floats,
        gate: _Named,
        up: _Named,
        down: _Named,
        spec: MoE,
        batch: Batch,  # noqa: ARG002
    ) -> Floats:
        gates, ups, downs = (unstack(stack.weight) for stack in (gate, up, down))
        chosen, shares = routing[:, 0].astype(int), routing[:, 1]  # (tokens, selected)
        out = np.zeros_like(x)
        for expert in np.unique(chosen):
            rows, ranks = np.nonzero(chosen == expert)
            dealt = x[rows]
            self.met(gate.path, expert, spec.experts, dealt)
            self.met(up.path, expert, spec.experts, dealt)
            hidden = self.gated(self._product(dealt, gates[expert]), self._product(dealt, ups[expert]), spec.activation)
            self.met(down.path, expert, spec.experts, hidden)
            out[rows] += shares[rows, ranks, None] * self._product(hidden, downs[expert])
        return out

    def _product(self, x: Floats, weight: Matrix) -> Floats:
        rows, columns = weight.shape
        step = max(1, STRETCH // columns)
        parts = [
            x @ self.exact.place(weight.rows(slice(first, min(first + step, rows)))).T for first in range(0, rows, step)
        ]
        self.model.release()
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
