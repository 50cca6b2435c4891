"""A promise of memory: a process that runs a model stays below so many bytes, with all that it holds.

What a model takes is reckoned before anything large is read or written, so that a promise that cannot be kept is
refused at once, with the smallest that can be. Where experts are on disk, what is left becomes their arena, measured
when all else is in place: `gadfly.weights.streamed`.
"""

from gadfly.errors import CapacityError, RequestError
from gadfly.hub.memory import memory_used
from gadfly.model.cost import activation_bytes
from gadfly.settings import bytes_of
from gadfly.spec import ModelSpec
from gadfly.weight import unstack
from gadfly.weights.model_file import ModelFile
from gadfly.weights.packed import bytes_packed
from gadfly.weights.streamed import FEWEST, kind_of, on_disk, size_up

__all__ = ["WANTED", "WORK", "WORK_SHARE", "Promise", "promised"]

WORK = 64_000_000  # bytes that requests, drawing and whatever else is not counted may take, but no more than
WORK_SHARE = 12  # one part in so many of a promise whose arena of experts is small
WANTED = 32  # tokens of a step whose logits are wanted, at most


def promised(memory: str | int | None) -> int | None:
    """Bytes of "8GiB" or a number. Raises RequestError."""
    if memory is None:
        return None
    size = bytes_of(memory) if isinstance(memory, str) else memory
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise RequestError(f"memory is {memory!r}; write it as 8GiB or 64GB")
    return size


class Promise:
    """Of `size` bytes for a model whose steps have up to `tokens` tokens, and whose cache is `cache` bytes at least.

    `streaming`: its experts, or layers if there are none, need not be in memory. Raises CapacityError if it cannot be
    kept.
    """

    def __init__(self, size: int, file: ModelFile, spec: ModelSpec, tokens: int, cache: int, streaming: bool) -> None:
        self.size = size
        weights = list({id(weight): weight for weight in (file.weights[path] for path in file.weights)}.values())
        working = memory_used() + activation_bytes(spec, tokens) + 4 * spec.vocab * WANTED + WORK
        self._all = sum(map(bytes_packed, weights))
        least = self._all
        if streaming and (paths := on_disk(file)):
            slots: dict[str, int] = {}  # by kind: of the largest
            for path in paths:
                matrices = unstack(file.weights[path])
                slots[kind_of(path)] = max(slots.get(kind_of(path), 0), bytes_packed(matrices[0]))
                least -= sum(map(bytes_packed, matrices))
            least += FEWEST * sum(slots.values())
        if working + cache + least > size:
            raise CapacityError(
                f"{file.path}: {size / 2**30:.2f} GiB of memory are too little for this model with a context of "
                f"{spec.context}; {size_up(working + cache + least)} are enough, and a smaller context takes less"
            )
        self.left = size - working  # for weights and cache

    @property
    def cache(self) -> int:
        """Bytes that a cache may have where all weights are in memory."""
        return self.left - self._all
