"""Measures what a model's matrices are multiplied with while it reads a text: see `gadfly.convert.importance`.

The model is run by the definition of its operations, in float32. Of its weights only a stretch of rows is decoded at a
time, so memory stays near the size of the file that is mapped; to make up for decoding, several chunks of text are read
in one step. Every chunk is read from its beginning, and no logits are computed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gadfly.batch import Batch, Ints, Span
from gadfly.model.transformer import forward
from gadfly.ops import Floats
from gadfly.ops.reference import PagedCache, Reference
from gadfly.spec import MoE
from gadfly.text import Tokenizer
from gadfly.weight import Matrix, Stack, Weight, Weights, unstack
from gadfly.weights.load import ModelFile

__all__ = ["Calibration", "Measured", "chunked"]

STEP_TOKENS = 2048  # read together, in chunks
STRETCH = 2**22  # weights that are decoded together


@dataclass(frozen=True)
class Measured:
    """Sums of squares float64 (matrices, in) and how many activations are in them (matrices,), by path."""

    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, path: str, matrix: int, matrices: int, x: Floats) -> None:
        sums = self.sums.setdefault(path, np.zeros((matrices, x.shape[-1])))
        counts = self.counts.setdefault(path, np.zeros(matrices, np.int64))
        sums[matrix] += np.einsum("ti,ti->i", x, x, dtype=np.float64)
        counts[matrix] += len(x)

    def plus(self, other: "Measured") -> "Measured":
        return Measured(
            {path: values + self.sums.get(path, 0) for path, values in other.sums.items()},
            {path: values + self.counts.get(path, 0) for path, values in other.counts.items()},
        )


class Calibration:
    """What has been measured so far: whole steps only, however reading was interrupted."""

    def __init__(self, model: ModelFile) -> None:
        self.model = model
        self.measured = Measured()
        self.tokens = 0

    def read(self, chunks: Iterable[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
        """Read chunks, several at a time; yields those that have been read."""
        for step in _steps(chunks):
            ops = _Observing(self.model)
            batch = Batch.of([Span(chunk, 0, (), range(len(chunk))) for chunk in step])
            forward(self.model.spec, ops.weights, batch, ops, _NoPast())
            self.measured = self.measured.plus(ops.measured)
            self.tokens += len(batch.tokens)
            yield step

    def by_tensor(self) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
        """Sums and counts under the names of GGUF tensors. An embedding that is the output is measured as that."""
        sums: dict[str, NDArray[np.float32]] = {}
        counts: dict[str, NDArray[np.float32]] = {}
        weights = self.model.weights
        for path, values in self.measured.sums.items():
            tied = path == "output" and weights["output"] is weights["embedding"]
            entry = self.model.page.gguf.names.entry("embedding" if tied else path)
            assert entry is not None, path
            if path == entry.paths[0] or tied:  # all that is fused into a tensor meets the same
                sums[entry.name] = values.astype(np.float32)
                counts[entry.name] = self.measured.counts[path].astype(np.float32)
        return sums, counts

    def unseen(self) -> tuple[int, int]:
        """Experts that no token went to, and experts, over all layers."""
        counts = [counts for path, counts in self.measured.counts.items() if path.endswith(".down") and len(counts) > 1]
        return sum(int((layer == 0).sum()) for layer in counts), sum(map(len, counts))


def chunked(tokenizer: Tokenizer, text: str, size: int) -> list[list[int]]:
    """Ids of a text, in chunks of `size` that begin as the model expects a text to begin."""
    ids = tokenizer.encode(text)
    start = [tokenizer.bos] if tokenizer.adds_bos and tokenizer.bos is not None and size > 1 else []
    step = size - len(start)
    return [[*start, *ids[first : first + step]] for first in range(0, len(ids), step)]


def _steps(chunks: Iterable[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
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


class _Observing:
    """The reference's operations on weights that are decoded when they are met; what meets a matrix is noted."""

    def __init__(self, model: ModelFile) -> None:
        self.model = model
        self.measured = Measured()
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
        self.measured.add(weight.path, 0, 1, x)
        if weight.path == "output":
            return x[:, :0]  # nobody asks for logits
        assert not isinstance(weight.weight, Stack)
        return self._product(x, weight.weight)

    def route(self, x: Floats, router: _Named, spec: MoE) -> Floats:
        self.measured.add(router.path, 0, 1, x)
        return self.exact.route(x, self.exact.place(router.weight), spec)

    def experts(self, x: Floats, routing: Floats, gate: _Named, up: _Named, down: _Named, spec: MoE) -> Floats:
        gates, ups, downs = (unstack(stack.weight) for stack in (gate, up, down))
        chosen, shares = routing[:, 0].astype(int), routing[:, 1]  # (tokens, selected)
        out = np.zeros_like(x)
        for expert in np.unique(chosen):
            rows, ranks = np.nonzero(chosen == expert)
            dealt = x[rows]
            self.measured.add(gate.path, expert, spec.experts, dealt)
            self.measured.add(up.path, expert, spec.experts, dealt)
            hidden = self.gated(self._product(dealt, gates[expert]), self._product(dealt, ups[expert]), spec.activation)
            self.measured.add(down.path, expert, spec.experts, hidden)
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
