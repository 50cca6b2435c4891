"""The layers below the first adapter: they stay as they are, so what they make of a sequence can be computed once.

Sequences go through them one by one, never packed, so that what comes out depends on the sequence alone: it is the same
to the bit whether it was kept or is computed again. It is kept on disk, and read from there rather than mapped, because
mapped pages would count as this process's memory.

    header                        4096 bytes: what the file is, and of which run
    sequence 0, token 0           dim numbers, float32
    sequence 0, token 1           …
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gadfly.batch import Batch, Span
from gadfly.errors import ModelFileError
from gadfly.model.transformer import embedded, through
from gadfly.ops.torch import Torch, TorchWeight
from gadfly.spec import ModelSpec
from gadfly.train.data.sample import Sample
from gadfly.weight import Weights
from gadfly.weights.disk import replacing

__all__ = ["FILE", "LowerLayers"]

FILE = "lower-layers"
HEADER = 4096  # bytes
SHARE = 4  # of the disk's room, one part in so many may be taken
_MAGIC = b"gadfly lower layers 1\n"


class LowerLayers:
    """The first `count` layers of a model, none of which is learnt."""

    def __init__(self, spec: ModelSpec, weights: Weights[TorchWeight], backend: Torch, count: int) -> None:
        self.count = count
        self._spec, self._weights, self._backend = spec, weights, backend
        self._last: tuple[Sequence[Sample], Tensor] | None = None
        self._places: dict[Sample, tuple[Path, int]] = {}  # files, and bytes from their beginnings

    def size(self, sequences: Sequence[Sample]) -> int:
        """Bytes that keeping them takes on disk."""
        return HEADER + sum(map(self._bytes, sequences))

    def fits(self, folder: Path, sequences: Sequence[Sample]) -> bool:
        """Whether the disk has room for them, and for much else."""
        return self.size(sequences) <= shutil.disk_usage(folder).free // SHARE

    def outputs(self, sequences: Sequence[Sample]) -> Tensor:
        """What the layers make of all tokens but the last of each: (tokens, dim). Asked again at once, it is known."""
        if self._last is None or self._last[0] is not sequences:
            parts = [self._kept(one) if one in self._places else self._computed(one) for one in sequences]
            self._last = sequences, torch.cat(parts)
        return self._last[1]

    def keep(
        self,
        path: Path,
        run: str,
        sequences: Sequence[Sample],
        done: Callable[[int], None] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Compute and keep what the layers make of these, or open what was kept of them; False if `stopped`.

        `done` hears how many sequences there are so far. Raises CapacityError if the disk is full.
        """
        header = self._header(run, sequences)
        if not _is(path, header, self.size(sequences)):
            try:
                with replacing(path) as file:
                    file.write(header)
                    for number, one in enumerate(sequences):
                        if stopped():
                            raise _Stopped
                        file.write(self._computed(one).float().cpu().numpy().tobytes())
                        done(number + 1)
            except _Stopped:
                return False
        place = HEADER
        for one in sequences:
            self._places[one] = path, place
            place += self._bytes(one)
        return True

    def _bytes(self, one: Sample) -> int:
        return 4 * self._spec.dim * max(0, len(one) - 1)

    def _computed(self, one: Sample) -> Tensor:
        batch = Batch.of([Span(one.ids[:-1].tolist(), 0, (), ())])
        with torch.no_grad():
            x = embedded(self._spec, self._weights, batch, self._backend)
            return through(range(self.count), x, self._spec, self._weights, batch, self._backend, None)

    def _kept(self, one: Sample) -> Tensor:
        path, place = self._places[one]
        rows = np.empty((max(0, len(one) - 1), self._spec.dim), np.float32)
        try:
            with path.open("rb") as file:
                file.seek(place)
                read = file.readinto(rows.data)
        except OSError as error:
            raise ModelFileError(f"{path} cannot be read: {error.strerror}; begin again, the run goes on") from error
        if read != rows.nbytes:
            raise ModelFileError(f"{path} was cut short meanwhile; begin again, the run goes on")
        return torch.from_numpy(rows).to(self._backend.device, self._backend.dtype)

    def _header(self, run: str, sequences: Sequence[Sample]) -> bytes:
        digest = hashlib.sha256(f"{run} {self.count}".encode())
        for one in sequences:
            digest.update(len(one).to_bytes(8, "little") + one.ids.tobytes())
        return (_MAGIC + digest.digest()).ljust(HEADER, b"\0")


class _Stopped(Exception):
    pass


def _is(path: Path, header: bytes, size: int) -> bool:
    """Whether it is the whole file of this run."""
    try:
        with path.open("rb") as file:
            return path.stat().st_size == size and file.read(HEADER) == header
    except OSError:
        return False
