"""Experts that stay on disk while a model runs, in as much memory as is left for them; or layers, where none are.

    the source  a file of packed weights (`gadfly.weights.packed`), a model that was prepared for it (`prepared`), or
                just the model's own files (`filed`), which is slower
    the arena   of the native store (native/runtime/expert_store.h): the one place in memory where experts are. Those of
                a layer are read once its router has spoken, past the system's cache; whoever is wanted often stays
    the rest    what every token meets is read from the same file, once, and vectors from the model's own

Of a model without experts the matrices of layers take their place. All of them are needed in each step, in an order
that is known: some stay, the others are read one after the other, each while the ones before are computed.

The arena is taken last, when all else is in place: what a promise of memory leaves. A step of many tokens reads each
expert once for all of them, and the arena lends it the room for its buffers, which experts have again afterwards.
Results are the same bits as in memory. How closely routers clung to few experts is kept beside packed weights when all
is over, for whoever wants to know how fast it will be: `gadfly.weights.clinging`.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from gadfly._native import ExpertStore
from gadfly.completion import Reads
from gadfly.errors import CapacityError
from gadfly.ops.native import Native
from gadfly.weight import Matrix, Weight, is_stack, unstack
from gadfly.weights.clinging import remember
from gadfly.weights.disk import uncache
from gadfly.weights.model_file import ModelFile
from gadfly.weights.packed import PAGE, PackedFile

__all__ = ["FEWEST", "STEPS", "WRITING", "Source", "Streamed", "kind_of", "on_disk", "size_up"]

STEPS = range(2048, 255, -256)  # tokens that a step may have: as many as have room beside the fewest experts
WRITING = 8  # tokens of a step whose buffers never take room from experts
FEWEST = 2  # experts, or layers, in the arena: one is computed while the next is read
BESIDE = {"experts": ("what every token needs", "an expert"), "layers": ("all beside its layers", "a layer")}


class Source(Protocol):
    """What is read while a model runs."""

    @property
    def path(self) -> Path:
        """Names it to a user."""

    @property
    def note(self) -> str:
        """What a user should know about it; may be empty."""

    @property
    def filed(self) -> bool:
        """Whether rows lie there as model files hold them, yet to be packed."""

    @property
    def files(self) -> Sequence[Path]: ...

    def holds(self, weight: Weight) -> bool:
        """Whether it can be read from there."""

    def extents(self, weight: Weight) -> list[tuple[int, int]]:
        """Of the matrix, or those of a stack: the number of the file that holds it, and the byte it begins with."""

    def read(self, weight: Matrix, backend: Native) -> Any:
        """A matrix into memory, as the backend's ops take it."""


class Streamed:
    """A placement; `settle` has to be called before the model runs."""

    def __init__(self, backend: Native, source: Source, file: ModelFile) -> None:
        self._backend = backend
        self._source = source
        self._file = file
        self._store = store = ExpertStore([str(path) for path in source.files])
        paths = [path for path in on_disk(file) if source.holds(file.weights[path])]
        kinds = list(dict.fromkeys(map(kind_of, paths)))  # gate, up, down …: a pool each
        self._pools = {id(file.weights[path]): kinds.index(kind_of(path)) for path in paths}
        counts = Counter[str]()
        for path in paths:
            counts[kind_of(path)] += len(unstack(file.weights[path]))
        self._experts = max(counts.values())
        self._what = "experts" if is_stack(file.weights[paths[0]]) else "layers"
        if self._what == "experts" and isinstance(source, PackedFile):  # a model's own folder is nobody's to write to
            weakref.finalize(self, lambda: remember(source.path, store.ranks))

    @property
    def note(self) -> str:
        share = self._store.room / self._experts
        cached = "" if self._store.is_direct else ", through the system's cache, as its disk cannot be read directly"
        read = f"{self._source.path} as they are needed{cached}"
        note = f". {self._source.note}" if self._source.note else ""
        return f"{share:.0%} of the {self._what} have room in memory, the others are read from {read}{note}"

    @property
    def reads(self) -> Reads:
        counts = self._store.counts
        found, missing, read = (int(counts[name]) for name in ("found", "missing", "bytes"))
        waiting = counts["waiting"] / self._backend.threads
        room = self._store.room / self._experts
        return Reads(found, missing, read, counts["reading"], waiting, room, of=self._what)

    def place(self, weight: Any) -> Any:
        if len(weight.shape) < 2:
            return self._backend.place(weight)
        if id(weight) not in self._pools:
            return self._source.read(weight, self._backend)
        files, offsets = zip(*self._source.extents(weight), strict=True)
        pool, filed = self._pools[id(weight)], self._source.filed
        return self._backend.stored(unstack(weight), self._store, pool, offsets, files, filed)

    def settle(self, memory: int, used: int, step_bytes: Callable[[int], int]) -> int:
        """Take the arena and return how many tokens a step may have, so that all stays below `memory` bytes.

        `used` is what all else comes to when it is in use; a step of n tokens has `step_bytes(n)` of buffers. Raises
        CapacityError, which names the smallest memory that would do.
        """
        uncache(*self._file.files, *self._source.files)  # nobody needs what was read of them any more
        expert, arena = self._store.bytes_per_expert, memory - used
        edges = PAGE + self._store.bytes_to_pack
        least = used + step_bytes(STEPS[-1]) + FEWEST * expert + edges
        if memory < least:
            beside, one = BESIDE[self._what]
            raise CapacityError(
                f"{self._file.path}: {memory / 2**30:.2f} GiB of memory are too little for this model, as {beside} "
                f"takes {used / 2**30:.2f} GiB and {one} {expert / 2**30:.2f}; {size_up(least)} are enough, and a "
                "smaller context takes less"
            )
        tokens = next(tokens for tokens in STEPS if step_bytes(tokens) + FEWEST * expert + edges <= arena)
        self._store.reserve(min(arena, self._experts * expert + step_bytes(tokens) + edges), step_bytes(WRITING))
        return tokens


def on_disk(file: ModelFile) -> list[str]:
    """What may stay on disk: experts, or all matrices of layers where there are none."""
    stacks = [path for path in file.weights if is_stack(file.weights[path])]
    return stacks or [path for path in file.weights if path.startswith("blocks.") and len(file.weights[path].shape) > 1]


def kind_of(path: str) -> str:
    """What it is of its layer: "ffn.gate"."""
    return path.split(".", 2)[2]


def size_up(size: int) -> str:
    """Rounded up, so that whoever asks for it gets enough: "5.12GiB"."""
    return f"{-(-size * 100 // 2**30) / 100:.2f}GiB"
