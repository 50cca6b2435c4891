"""Experts that stay on disk while a model runs, in as much memory as is left for them.

    the file    of packed weights (`gadfly.weights.packed`): every matrix is whole pages of it
    the arena   of the native store (native/runtime/expert_store.h): the one place in memory where experts are. Those of
                a layer are read once its router has spoken, past the system's cache; whoever is wanted often stays
    the rest    what every token meets is read from the same file, once, and vectors from the model's own

The arena is taken last, when all else is in place: what a promise of memory leaves. A step of many tokens reads each
expert once for all of them, and the arena lends it the room for its buffers, which experts have again afterwards.
Results are the same bits as in memory. How closely routers clung to few experts is kept when all is over, for whoever
wants to know how fast it will be: `gadfly.weights.clinging`.
"""

import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly._native import ExpertStore
from gadfly.completion import Reads
from gadfly.errors import CapacityError, ModelFileError
from gadfly.ops.native import Native
from gadfly.weight import Matrix, is_stack, unstack
from gadfly.weights.clinging import remember
from gadfly.weights.disk import uncache
from gadfly.weights.model_file import ModelFile
from gadfly.weights.packed import PAGE, PackedFile

__all__ = ["FEWEST", "STEPS", "WRITING", "Streamed", "size_up"]

STEPS = range(2048, 255, -256)  # tokens that a step may have: as many as have room beside the fewest experts
WRITING = 8  # tokens of a step whose buffers never take room from experts
FEWEST = 2  # experts in the arena: one is computed while the next is read


class Streamed:
    """A placement; `settle` has to be called before the model runs. `packed` is open."""

    def __init__(self, backend: Native, packed: PackedFile, file: ModelFile) -> None:
        self._backend = backend
        self._packed = packed
        self._file = file
        self._store = store = ExpertStore(str(packed.path))
        weakref.finalize(self, lambda: remember(packed.path, store.ranks))
        stacks = [path for path in file.weights if is_stack(file.weights[path])]
        kinds = list(dict.fromkeys(path.rpartition(".")[2] for path in stacks))  # gate, up, down: a pool each
        self._pools = {id(file.weights[path]): kinds.index(path.rpartition(".")[2]) for path in stacks}
        self._experts = sum(file.weights[path].shape[0] for path in stacks) // len(kinds)

    @property
    def note(self) -> str:
        share = self._store.room / self._experts
        cached = "" if self._store.is_direct else ", through the system's cache, as its disk cannot be read directly"
        return (
            f"{share:.0%} of the experts have room in memory, the others are read from {self._packed.path} as they are "
            f"needed{cached}. The file ({self._packed.size / 1e9:.1f} GB) is a cache and may be deleted"
        )

    @property
    def reads(self) -> Reads:
        counts = self._store.counts
        found, missing, read = (int(counts[name]) for name in ("found", "missing", "bytes"))
        waiting = counts["waiting"] / self._backend.threads
        return Reads(found, missing, read, counts["reading"], waiting, self._store.room / self._experts)

    def place(self, weight: Any) -> Any:
        if len(weight.shape) < 2:
            return self._backend.place(weight)
        if not is_stack(weight):
            return self._read(weight)
        offsets = [start for start, _ in self._packed.extents(weight)]
        return self._backend.stored(unstack(weight), self._store, self._pools[id(weight)], offsets)

    def settle(self, memory: int, used: int, step_bytes: Callable[[int], int]) -> int:
        """Take the arena and return how many tokens a step may have, so that all stays below `memory` bytes.

        `used` is what all else comes to when it is in use; a step of n tokens has `step_bytes(n)` of buffers. Raises
        CapacityError, which names the smallest memory that would do.
        """
        uncache(*self._file.files, self._packed.path)  # nobody needs what was read of them any more
        expert, arena = self._store.bytes_per_expert, memory - used
        least = used + step_bytes(STEPS[-1]) + FEWEST * expert + PAGE
        if memory < least:
            raise CapacityError(
                f"{self._file.path}: {memory / 2**30:.2f} GiB of memory are too little for this model, as what every "
                f"token needs takes {used / 2**30:.2f} GiB and an expert {expert / 2**30:.2f}; {size_up(least)} "
                "are enough, and a smaller context takes less"
            )
        tokens = next(tokens for tokens in STEPS if step_bytes(tokens) + FEWEST * expert + PAGE <= arena)
        self._store.reserve(min(arena, self._experts * expert + step_bytes(tokens) + PAGE), step_bytes(WRITING))
        return tokens

    def _read(self, weight: Matrix) -> Any:
        """A matrix that every token meets, into memory of its own."""
        ((start, size),) = self._packed.extents(weight)
        return self._backend.adopt(weight, read_directly(self._packed, start, -(-size // PAGE) * PAGE)[:size])


def size_up(size: int) -> str:
    """Rounded up, so that whoever asks for it gets enough: "5.12GiB"."""
    return f"{-(-size * 100 // 2**30) / 100:.2f}GiB"


def read_directly(packed: PackedFile, start: int, size: int) -> NDArray[np.uint8]:
    """Bytes of the file, whole pages, past the system's cache where that is possible. Raises ModelFileError."""
    memory = mmap.mmap(-1, size)  # aligned to a page, as direct reads want it
    try:
        opened = _open(packed)
        try:
            done = 0
            while done < size:
                got = os.preadv(opened, [memoryview(memory)[done:]], start + done)
                if not got:
                    raise ModelFileError(f"{packed.path} has become shorter; start again, and it is made anew")
                done += got
        finally:
            os.close(opened)
    except OSError as error:
        raise ModelFileError(f"{packed.path} cannot be read: {error}; check the disk") from error
    return np.frombuffer(memory, np.uint8)


def _open(packed: PackedFile) -> int:
    try:
        return os.open(packed.path, os.O_RDONLY | getattr(os, "O_DIRECT", 0))
    except OSError:  # a file's system without direct reads
        return os.open(packed.path, os.O_RDONLY)
