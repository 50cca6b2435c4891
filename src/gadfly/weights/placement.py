"""Where a model's weights live while it runs: the only place that knows.

    Resident   in memory, packed anew at every start
    Mapped     in a file, packed once: starts are quick, and processes share it
    Streamed   experts, or layers where there are none, in that file or in the model's own, read as they are needed into
               as much memory as is left: `gadfly.weights.streamed`
    Unpacked   experts in the model's own files, decoded anew for every use: what Streamed is to the reference backend

Results are the same bits.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from gadfly.errors import CapacityError, ModelFileError, RequestError
from gadfly.ops import Backend, Floats
from gadfly.ops.native import Native
from gadfly.weight import Matrix, Weight, is_stack, unstack
from gadfly.weights.cache import Cache
from gadfly.weights.filed import Filed
from gadfly.weights.model_file import ModelFile
from gadfly.weights.packed import PackedFile, bytes_packed
from gadfly.weights.prepared import Prepared, is_prepared
from gadfly.weights.streamed import Streamed, on_disk

__all__ = ["ROOM", "Experts", "Mapped", "Placement", "Resident", "Unpacked", "choose_placement"]

Experts = Literal["resident", "streamed", "mapped"]

ROOM = 0.9  # of the memory at hand that weights may take: the rest is for the context and for everybody else
OUT = ("streamed", "mapped")  # of memory
SMALL = 2**24  # bytes that are packed in the blink of an eye
UNASKED = 10**9  # bytes of disk that experts may take without anybody's word


class Placement(Protocol):
    @property
    def note(self) -> str | None:
        """What a user should know about it."""

    def place(self, weight: Weight) -> Any:
        """The weight as the backend's ops take it."""


def choose_placement(
    file: ModelFile,
    backend: Backend[Any, Any, Any],
    experts: str | None,
    keep: bool | None,
    room: int,
    cache: Cache,
    advance: Callable[[int, int], None] = lambda *_: None,
    allow: Callable[[Path, int, int], bool] = lambda *_: False,
) -> Placement:
    """A place for the weights of `file`. `advance` hears how many bytes have been packed, of how many.

    `allow` says whether a folder may take so many bytes, of those its disk has free; it is asked before much is written
    for experts that nobody has named a place for, nor said that packed weights are kept. If not, or if the disk has no
    room, what is streamed is read from the model's own files.

    `experts` None is "streamed" for models that leave too little of `room` bytes of memory, of which those without
    experts stream their layers; "mapped" ones are left to the system's paging, which is slow where memory is short;
    "resident" ones are in memory. `keep` says whether packed weights are kept in `cache`; None: unless the model is
    small or the disk has little room, and if it turns out that they cannot be, they are packed at every start. Raises
    RequestError for other values and for what is not allowed, if there is no other way; CapacityError and
    ModelFileError if what has to be kept cannot be.
    """
    if experts not in (*get_args(Experts), None):
        raise RequestError(f"there is no place {experts!r} for experts; choose {', '.join(get_args(Experts))}")
    weights = [file.weights[path] for path in file.weights]
    has_experts = is_mixture(file)
    if isinstance(backend, Native):
        wanted = sum(map(bytes_packed, weights))
    else:
        wanted = sum(4 * int(np.prod(weight.shape)) for weight in weights)
    too_large = experts is None and wanted > ROOM * room
    if not isinstance(backend, Native):
        return Unpacked(backend) if has_experts and (too_large or experts in OUT) else Resident(backend)
    if too_large or experts == "streamed" or (has_experts and experts == "mapped"):
        source = source_of(file, backend, experts, keep, cache, advance, allow)
        if isinstance(source, Filed) or experts != "mapped":
            return Streamed(backend, source, file)
        return Mapped(backend, source, experts_only=True)
    if is_prepared(file):
        if experts == "resident":
            return Resident(backend)
        prepared = Prepared(file)
        prepared.read_ahead()
        return Mapped(backend, prepared)
    if keep is False or experts == "resident" or (keep is None and (wanted < SMALL or not file.files)):
        return Resident(backend)
    packed = PackedFile(file, cache.file(file.path))
    try:
        if not packed.open():
            if not (keep or cache.make_room(file.path, packed.size)):
                return Resident(backend)
            packed.make(backend, advance)
    except (CapacityError, ModelFileError) as error:
        if keep:
            raise
        return Resident(backend, f"weights are packed at every start, as {error}; --no-cache does not try")
    packed.read_ahead()
    return Mapped(backend, packed)


def source_of(
    file: ModelFile,
    backend: Native,
    experts: str | None,
    keep: bool | None,
    cache: Cache,
    advance: Callable[[int, int], None],
    allow: Callable[[Path, int, int], bool],
) -> PackedFile | Prepared | Filed:
    """What is read while the model runs: the file itself if it was made for that, or a packed copy if there may be one.

    Otherwise the model's files as they are, as far as these can be read so.
    """
    if is_prepared(file):
        return Prepared(file)
    packed = PackedFile(file, cache.file(file.path))
    filed = Filed(file, "")
    found = [filed.holds(file.weights[path]) for path in on_disk(file)]
    readable = experts != "mapped" and not keep and (all(found) if is_mixture(file) else any(found))
    if keep is False and readable:
        return Filed(file, "--no-cache keeps no packed copy")
    try:
        if not packed.open():
            free = packed.free_room()
            asked = packed.size >= UNASKED and not (experts or keep)
            if asked and not allow(packed.path.parent, packed.size, free):
                raise RequestError(
                    f"nobody has allowed the {packed.size / 1e9:.1f} GB of disk at {packed.path.parent}, which has "
                    f"{free / 1e9:.1f} GB free, that a packed copy takes (--experts streamed and cache = true in "
                    "gadfly.toml do)"
                )
            packed.make(backend, advance, uncached=experts != "mapped")
    except (RequestError, CapacityError, ModelFileError) as error:
        if not readable:
            raise
        return Filed(file, str(error))
    return packed


def is_mixture(file: ModelFile) -> bool:
    return any(is_stack(file.weights[path]) for path in file.weights)


class Resident:
    """In memory, where the backend puts them."""

    def __init__(self, backend: Backend[Any, Any, Any], note: str | None = None) -> None:
        self.note = note
        self._backend = backend

    def place(self, weight: Weight) -> Any:
        return self._backend.place(weight)


class Mapped:
    """In a packed file: all matrices, or the experts alone if memory is for what every token needs."""

    def __init__(self, backend: Native, packed: PackedFile | Prepared, experts_only: bool = False) -> None:
        self._backend = backend
        self._packed = packed
        self._experts_only = experts_only

    @property
    def note(self) -> str | None:
        if not self._experts_only:
            return None
        return (
            f"experts ({self._packed.size / 1e9:.1f} GB with all else) are read from {self._packed.path} as they are "
            f"needed; what does not fit into memory is read again and again, slowly. {self._packed.note}".rstrip()
        )

    def place(self, weight: Weight) -> Any:
        if len(weight.shape) < 2 or (self._experts_only and not is_stack(weight)):
            return self._backend.place(weight)
        return self._packed.place(weight, self._backend)


class Unpacked:
    """Experts in the model's own files: the backend decodes one each time that it is used."""

    note = "experts are decoded anew each time that they are used, which takes little memory and much time"

    def __init__(self, backend: Backend[Any, Any, Any]) -> None:
        self._backend = backend

    def place(self, weight: Weight) -> Any:
        return DecodedOnUse(unstack(weight), self._backend) if is_stack(weight) else self._backend.place(weight)


class DecodedOnUse(Sequence[Floats]):
    def __init__(self, parts: Sequence[Matrix], backend: Backend[Any, Any, Any]) -> None:
        self._parts = parts
        self._backend = backend

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        return self._backend.place(self._parts[index])
