"""Matrices in the model's own files, as a place that experts or layers can be read from without a copy.

Rows lie there as files have them, so they are packed each time that they are read, which takes longer than reading:
this is for disks that have no room for packed weights. A matrix whose rows are put in order at load, or that is stored
column by column, cannot be read so; it stays in memory.
"""

from typing import Any

from numpy.typing import NDArray

from gadfly.ops.native import Native
from gadfly.weight import Matrix, Plain, Quantised, Weight, unstack
from gadfly.weights.disk import place_in_file
from gadfly.weights.model_file import ModelFile

__all__ = ["Filed"]


class Filed:
    """The files of a model. `why` there is no packed copy of them is what a user is told."""

    filed = True

    def __init__(self, file: ModelFile, why: str) -> None:
        self.path = file.path
        self.files = file.files
        self.note = (
            f"They are packed anew each time, which is slower than reading, as {why}; gadfly convert --for streaming "
            "makes a file that is quicker"
        )

    def holds(self, weight: Weight) -> bool:
        return all(self._place(part) for part in unstack(weight))

    def extents(self, weight: Weight) -> list[tuple[int, int]]:
        """Of the matrix, or those of a stack: the number of the file that holds it, and the byte it begins with."""
        return [place for part in unstack(weight) if (place := self._place(part))]

    def read(self, weight: Matrix, backend: Native) -> Any:
        """A matrix into memory."""
        return backend.place(weight)

    def _place(self, matrix: Matrix) -> tuple[int, int] | None:
        held: NDArray[Any]
        match matrix:
            case Plain(array):
                held = array
            case Quantised(_, _, blocks):
                held = blocks
            case _:
                return None
        found = place_in_file(held)
        return (self.files.index(found[0]), found[1]) if found and found[0] in self.files else None
