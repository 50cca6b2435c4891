"""Measures what a model's matrices are multiplied with while it reads a text: see `gadfly.convert.importance`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gadfly.convert.observe import observe, steps_of
from gadfly.ops import Floats
from gadfly.text import Tokenizer
from gadfly.weights.load import ModelFile

__all__ = ["Calibration", "Measured", "chunked"]


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
        for step in steps_of(chunks):
            measured = Measured()
            observe(self.model, step, measured.add)
            self.measured = self.measured.plus(measured)
            self.tokens += sum(map(len, step))
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
