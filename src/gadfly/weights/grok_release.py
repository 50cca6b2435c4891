"""xAI's Grok-1 as it was released: a folder of pickled tensors, mapped into memory and never unpickled.

    FOLDER/ckpt-0/tensor00000_000 ...    one whole tensor each
    FOLDER/tokenizer.model               SentencePiece; may be missing
    FOLDER/config.json                   hyperparameters; if it is missing, those of the released model

A folder is hostile input: every file has to be the one that `release_layout` expects in its place, in this folder.
What the tensors mean is known in `gadfly.arch`; `release_writer` writes such folders.
"""

import math
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from gadfly.arch.grok1_release import Hyperparameters, Layout, read_hyperparameters, release_layout
from gadfly.errors import ModelFileError, NotFoundError
from gadfly.weights.disk import inside, map_file, optional_file, release_pages
from gadfly.weights.gguf_cursor import quoted
from gadfly.weights.release_pickle import StoredArray, StoredWeight, walk

__all__ = ["Float32Tensor", "Int8Tensor", "Release", "ReleaseTensor", "open_release"]

_TENSOR = re.compile(r"tensor(\d{5})_(\d{3})")


@dataclass(frozen=True, eq=False)
class Float32Tensor:
    """A tensor as it is. The view is read-only and, like the file, not aligned to the size of its elements."""

    path: Path
    index: int
    name: str
    array: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Int8Tensor:
    """A weight: row r of the input times column c of the output is codes[..., r, c] · scales[..., r // (in/groups), c].

    Both are read-only views of the file, which the scales are not aligned in.
    """

    path: Path
    index: int
    name: str
    codes: NDArray[np.int8]  # (in, out) or (experts, in, out)
    scales: NDArray[np.uint16]  # bfloat16 as it is stored: (groups, out) or (experts, groups, out)

    @property
    def groups(self) -> int:
        """Into how many runs of equal length the input is cut, each with a scale of its own per output."""
        return int(self.scales.shape[-2])


ReleaseTensor = Float32Tensor | Int8Tensor


class Release:
    """An open checkpoint. A file is mapped when its tensor is asked for, and as long as views of it live."""

    def __init__(self, folder: Path, hyperparameters: Hyperparameters, tokenizer_path: Path | None) -> None:
        self.folder = folder
        self.hyperparameters = hyperparameters
        self.tokenizer_path = tokenizer_path
        layout = release_layout(hyperparameters)
        self.layout: Mapping[str, Layout] = MappingProxyType({tensor.name: tensor for tensor in layout})
        self._maps: WeakSet[mmap.mmap] = WeakSet()

    def tensor(self, name: str) -> ReleaseTensor:
        """Map a tensor; `name` is a key of `layout`. Raises ModelFileError if its file is not what it should be."""
        if name not in self.layout:
            raise ModelFileError(f"{self.folder}: a Grok-1 has no tensor {quoted(name)}; is the architecture right?")
        expected = self.layout[name]
        path = self.folder / "ckpt-0" / expected.file_name
        mapped = map_file(inside(self.folder, path), "a tensor of the Grok-1 release")
        self._maps.add(mapped)
        match walk(path, memoryview(mapped)):
            case StoredArray() as stored:
                _check(path, expected, "float32", stored.shape)
                return Float32Tensor(path, expected.index, name, _view(mapped, stored, "<f4"))
            case StoredWeight(weight, scales):
                _check(path, expected, "int8", weight.shape)
                _check_scales(path, weight.shape, scales.shape)
                codes, raw = _view(mapped, weight, "i1"), _view(mapped, scales, "<u2")
                return Int8Tensor(path, expected.index, name, codes, raw)

    def release_pages(self) -> None:
        """Give the pages read so far back to the system; tensors stay valid."""
        release_pages(self._maps)


def open_release(folder: Path | str) -> Release:
    """Open a folder that holds `ckpt-0`, and check the header of every file in it. Payloads are not read.

    Raises NotFoundError if there is no such folder, ModelFileError if files are missing, too many, swapped, damaged
    or outside of the folder.
    """
    folder = Path(folder)
    try:
        present = {entry.name for entry in (folder / "ckpt-0").iterdir()}
    except FileNotFoundError:
        raise NotFoundError(f"{folder} holds no ckpt-0; give the folder that ckpt-0/tensor00000_000 lies in") from None
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{folder / 'ckpt-0'} cannot be read as a folder: {error}; check the path") from error
    config = optional_file(folder, "config.json")
    release = Release(
        folder,
        read_hyperparameters(config) if config else Hyperparameters(),
        optional_file(folder, "tokenizer.model"),
    )
    _check_names(release, present, config is not None)
    for name in release.layout:
        release.tensor(name)
    return release


def _check_names(release: Release, present: set[str], described: bool) -> None:
    """The files have to be exactly those of the model that config.json, or its absence, says this is."""
    expected = {tensor.file_name for tensor in release.layout.values()}
    found = {name for name in present if _TENSOR.fullmatch(name)}
    if found == expected:
        return
    folder, layers = release.folder, release.hyperparameters.num_layers
    said = (
        f"config.json says {layers} layers"
        if described
        else f"without a config.json this is Grok-1 with {layers} layers"
    )
    differing = sorted(found ^ expected)
    what = "is missing" if differing[0] in expected else "is one too many"
    raise ModelFileError(
        f"{folder}: {said}, so {len(expected)} files, but ckpt-0 holds {len(found)}; {differing[0]} {what}, "
        f"{'correct config.json or ' if described else 'add its config.json or '}fetch the model again"
    )


def _check(path: Path, expected: Layout, kind: str, shape: tuple[int, ...]) -> None:
    if (kind, shape) != (expected.kind, expected.shape):
        raise ModelFileError(
            f"{path} holds {kind} of shape {shape}; expected {expected.name}, {expected.kind} of shape "
            f"{expected.shape}; files are swapped, or config.json is of another model"
        )


def _check_scales(path: Path, weight: tuple[int, ...], scales: tuple[int, ...]) -> None:
    *experts, rows, columns = weight
    if len(scales) != len(weight) or scales != (*experts, scales[-2], columns) or rows % scales[-2]:
        raise ModelFileError(
            f"{path} holds scales of shape {scales}; expected {(*experts, 'groups', columns)}, groups dividing {rows}; "
            "the file is damaged, fetch it again"
        )


def _view(mapped: mmap.mmap, stored: StoredArray, dtype: str) -> NDArray[Any]:
    return np.frombuffer(mapped, dtype, math.prod(stored.shape), stored.offset).reshape(stored.shape)
