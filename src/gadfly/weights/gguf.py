"""GGUF files, the format of llama.cpp: metadata and tensors, mapped into memory and never copied.

    "GGUF" | version u32 | tensors u64 | keys u64 | keys and values | tensors' names, shapes, types | padding | data

Versions 2 and 3, little-endian, in one file or split into several. A model file is hostile input: whatever it says is
checked against its size first. What the keys and tensors mean is not known here: see `gadfly.arch`.
Source: the GGUF specification of ggml (docs/gguf.md); splitting: llama.cpp, tools/gguf-split.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.quant import BYTES, format_by_id
from gadfly.weight import Plain, Quantised, Stored
from gadfly.weights.disk import map_file, release_pages
from gadfly.weights.gguf_cursor import Cursor, quoted
from gadfly.weights.gguf_metadata import Metadata

__all__ = ["GGUF", "TensorInfo"]

MOST_TENSORS = 2**17
MOST_DIMENSIONS = 4
ALIGNMENT = 32  # of tensors, where "general.alignment" does not say otherwise

_PART = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf")


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies. `shape` is in numpy's order: a matrix is (out, in), the last axis is contiguous."""

    name: str
    format: str  # a key of `gadfly.quant.FORMATS`, or BYTES.name
    shape: tuple[int, ...]
    part: int  # index into GGUF.paths
    offset: int  # bytes from the begin of that file
    size: int  # bytes


class GGUF:
    """An open model file. Weights are read-only views of the mapped file, and keep it mapped as long as they live."""

    def __init__(self, parts: "list[_Part]") -> None:
        self.paths = tuple(part.path for part in parts)
        self.metadata = parts[0].metadata.without("split.")
        tensors: dict[str, TensorInfo] = {}
        for part in parts:
            for name, tensor in part.tensors.items():
                if name in tensors:
                    raise ModelFileError(
                        f"{part.path}: tensor {quoted(name)} is also in {self.paths[tensors[name].part].name}; "
                        "the parts do not belong together, fetch them again"
                    )
                tensors[name] = tensor
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(tensors)
        self._maps = [part.map for part in parts]

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a file, and if it is one part of a split model all parts.

        Raises NotFoundError if it or another part is missing, UnsupportedError for what Gadfly does not read,
        ModelFileError for damage. Takes a few milliseconds, whatever the size.
        """
        path = Path(path)
        part = _Part(path, 0)
        count = part.split("count", 1)
        if count < 2:
            return cls([part])
        match = _PART.fullmatch(path.name)
        if match is None or int(match["parts"]) != count or int(match["part"]) != part.split("no", -1) + 1:
            raise ModelFileError(
                f"{path}: the file says that it is part {part.split('no', -1) + 1} of {count}, but its name does not; "
                f"name the parts {path.stem}-00001-of-{count:05}.gguf and so on"
            )
        paths = [path.with_name(f"{match['stem']}-{i + 1:05}-of-{count:05}.gguf") for i in range(count)]
        for other in paths:
            if not other.exists():
                raise NotFoundError(
                    f"{other}: this part of the model is missing; put all {count} parts into one folder"
                )
        parts = [_Part(other, i) for i, other in enumerate(paths)]
        for i, part in enumerate(parts):
            number, total = part.split("no", -1), part.split("count", 1)
            if (number, total) != (i, count):
                raise part.cursor.error(f"split.no is {number} and split.count {total}; expected {i} and {count}")
        found = sum(len(part.tensors) for part in parts)
        if found != (expected := parts[0].split("tensors.count", found)):
            raise ModelFileError(
                f"{path}: the parts hold {found} tensors, but split.tensors.count is {expected}; fetch all parts again"
            )
        return cls(parts)

    def weight(self, name: str) -> Stored:
        """The tensor as a view: float32 ones as they are, others as blocks (rows, bytes per row).

        A tensor of more than two dimensions keeps its shape; its blocks have the product of the leading ones as rows.
        """
        data, tensor = self.data(name), self.tensors[name]
        if tensor.format == BYTES.name:
            try:
                format_by_id(BYTES.ggml_id)
            except UnsupportedError as error:
                raise UnsupportedError(f"{self.paths[tensor.part]}: tensor {quoted(name)}: {error}") from None
        if tensor.format == "F32":
            return Plain(data.view("<f4").reshape(tensor.shape))
        rows = math.prod(tensor.shape[:-1])
        return Quantised(tensor.format, tensor.shape, data.reshape(rows, -1))

    def data(self, name: str) -> NDArray[np.uint8]:
        """The tensor's bytes, whatever they mean."""
        if name not in self.tensors:
            raise ModelFileError(
                f"{self.paths[0]}: there is no tensor {quoted(name)}; is the architecture the right one?"
            )
        if not self._maps:
            raise ValueError(f"{self.paths[0]} is closed")
        tensor = self.tensors[name]
        return np.frombuffer(self._maps[tensor.part], np.uint8, tensor.size, tensor.offset)

    def release(self) -> None:
        """Give the pages read so far back to the system; weights stay valid."""
        release_pages(self._maps)

    def close(self) -> None:
        """Let go of the files. They stay mapped until the last weight taken from them is gone."""
        self._maps = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Part:
    """One file: mapped, its header read and its tensors located."""

    def __init__(self, path: Path, part: int) -> None:
        self.path = path
        self.map = map_file(path, "a GGUF file")
        self.cursor = cursor = Cursor(path, memoryview(self.map))
        count = _read_start(cursor)
        self.metadata = Metadata.read(cursor, cursor.u64("the number of metadata keys"))
        alignment = self._integer("general.alignment", ALIGNMENT)
        if alignment < 8 or alignment & alignment - 1:
            raise cursor.error(f"general.alignment is {alignment}; expected a power of two from 8")
        if count > MOST_TENSORS:
            raise cursor.error(f"the number of tensors is {count}; expected at most {MOST_TENSORS}")
        found = [_read_tensor(cursor, i, part) for i in range(count)]
        data = -(-cursor.position // alignment) * alignment
        self.tensors = _place(cursor, found, data, alignment)

    def split(self, key: str, default: int) -> int:
        return self._integer(f"split.{key}", default)

    def _integer(self, key: str, default: int) -> int:
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.cursor.error(f"metadata {quoted(key)} is not an integer")
        return value


def _read_start(cursor: Cursor) -> int:
    """Check magic and version; returns the number of tensors."""
    magic = bytes(cursor.data[:4])
    if magic != b"GGUF":
        raise ModelFileError(f"{cursor.path} is not a GGUF file: it begins with {magic!r}; expected b'GGUF'")
    cursor.skip(4, "the magic")
    version = cursor.u32("the version")
    if version and version & 0xFFFF == 0:
        raise UnsupportedError(f"{cursor.path} is big-endian; convert it to little-endian with gguf-convert-endian")
    if version not in (2, 3):
        raise UnsupportedError(f"{cursor.path} is GGUF version {version}; expected 2 or 3, convert the model again")
    return cursor.u64("the number of tensors")


def _read_tensor(cursor: Cursor, number: int, part: int) -> TensorInfo:
    """The entry of one tensor; its offset still counts from the begin of the data."""
    name = cursor.name(f"the name of tensor {number}")
    field = f"tensor {quoted(name)}"
    dimensions = cursor.u32(f"the number of dimensions of {field}")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise cursor.error(f"{field} has {dimensions} dimensions; expected 1 to {MOST_DIMENSIONS}")
    *reversed_shape, kind, offset = cursor.numbers(f"{dimensions}QIQ", field)
    shape = tuple(reversed_shape[::-1])
    if 0 in shape:
        raise cursor.error(f"{field} has the shape {shape}; expected no zeros")
    try:
        block_format = BYTES if kind == BYTES.ggml_id else format_by_id(kind)
        size = math.prod(shape[:-1]) * block_format.row_bytes(shape[-1])
    except UnsupportedError as error:
        raise UnsupportedError(f"{cursor.path}: {field}: {error}") from None
    return TensorInfo(name, block_format.name, shape, part, offset, size)


def _place(cursor: Cursor, tensors: list[TensorInfo], data: int, alignment: int) -> dict[str, TensorInfo]:
    """Tensors by name, in the file's order, with offsets from its begin. They must lie in the file and apart."""
    placed: dict[str, TensorInfo] = {}
    for tensor in tensors:
        field = f"tensor {quoted(tensor.name)}"
        if tensor.name in placed:
            raise cursor.error(f"{field} appears twice; expected once")
        if tensor.offset % alignment:
            raise cursor.error(f"{field} is at offset {tensor.offset}; expected a multiple of {alignment}")
        if data + tensor.offset + tensor.size > len(cursor.data):
            raise cursor.error(
                f"{field} ends at byte {data + tensor.offset + tensor.size}, but the file at {len(cursor.data)}"
            )
        placed[tensor.name] = replace(tensor, offset=data + tensor.offset)
    in_order = sorted(placed.values(), key=lambda tensor: tensor.offset)
    for before, after in pairwise(in_order):
        if before.offset + before.size > after.offset:
            raise cursor.error(f"tensors {quoted(before.name)} and {quoted(after.name)} overlap; expected them apart")
    return placed
