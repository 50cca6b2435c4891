"""One safetensors file, the format of Hugging Face: tensors mapped into memory and never copied.

    length u64 | JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …, "__metadata__": {…}} | data

A model file is hostile input: whatever it says is checked against its size first. The tensors have to fill the data
from end to end, so that nothing can hide between them. Models of several files: `safetensors_folder`. What the tensors
mean is not known here: see `gadfly.arch`.
Source: the description of the format in the `safetensors` library, and what its validation refuses.
"""

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.weight import Plain, Quantised, Stored
from gadfly.weights.disk import map_file, release_pages
from gadfly.weights.gguf_cursor import quoted
from gadfly.weights.json_scan import JsonScan

__all__ = ["BITS", "LONGEST_HEADER", "LONGEST_NAME", "MOST_TENSORS", "Safetensors", "StoredTensor"]

LONGEST_HEADER = 100_000_000  # bytes, as in the library
LONGEST_NAME = 1024  # characters
MOST_TENSORS = 2**20
MOST_DIMENSIONS = 8
MOST_METADATA = 2**16  # keys

BITS: Mapping[str, int] = {  # of an element
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
_NUMPY = {
    **{f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "UI" for bits in (8, 16, 32, 64)},
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies. A matrix of a linear layer is (out, in); the last axis is contiguous."""

    name: str
    dtype: str  # a key of BITS
    shape: tuple[int, ...]
    offset: int  # bytes from the begin of the file
    size: int  # bytes


class Safetensors:
    """An open file. What is taken out are read-only views of it, which keep it mapped as long as they live.

    They need not be aligned to the size of their elements.
    """

    def __init__(self, path: Path, mapped: mmap.mmap, metadata: Mapping[str, str], found: list[StoredTensor]) -> None:
        self.path = path
        self.metadata = MappingProxyType(dict(metadata))
        self.tensors: Mapping[str, StoredTensor] = MappingProxyType({tensor.name: tensor for tensor in found})
        self._map: mmap.mmap | None = mapped

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a file and read its header; the data is not touched.

        Raises NotFoundError if it is missing, UnsupportedError for a dtype not known here, ModelFileError for damage.
        """
        path = Path(path)
        mapped = map_file(path, "a safetensors file")
        if len(mapped) < 8:
            raise ModelFileError(f"{path} is not a safetensors file: it has {len(mapped)} bytes; expected 8 and more")
        (length,) = unpack_from("<Q", mapped)
        if length > LONGEST_HEADER or not mapped[8:9] == b"{":
            raise ModelFileError(
                f"{path} is not a safetensors file: it begins with {mapped[:9]!r}; expected the length of a header, "
                "and the header"
            )
        if 8 + length > len(mapped):
            raise ModelFileError(
                f"{path}: the header takes {length} bytes, but the file has {len(mapped)}; it is incomplete, "
                "fetch it again"
            )
        try:
            text = str(memoryview(mapped)[8 : 8 + length], "utf-8")
        except UnicodeDecodeError as error:
            raise ModelFileError(
                f"{path}: the header is not UTF-8 at offset {8 + error.start}; fetch it again"
            ) from None
        metadata, found = _read_header(JsonScan(path, text, "the header"), 8 + length)
        _check_filled(path, found, 8 + length, len(mapped))
        return cls(path, mapped, metadata, found)

    def weight(self, name: str) -> Stored:
        """The tensor as a view: float32 as it is, half floats as blocks of one (rows, bytes per row).

        A tensor of more than two dimensions keeps its shape; its blocks have the product of the leading ones as rows.
        Raises UnsupportedError for other dtypes, of which `array` gives the bits.
        """
        tensor = self._tensor(name)
        if not tensor.shape or not tensor.size:
            raise UnsupportedError(
                f"{self.path}: tensor {quoted(name)} has the shape {tensor.shape}; weights have rows"
            )
        if tensor.dtype == "F32":
            return Plain(self._bytes(tensor).view("<f4").reshape(tensor.shape))
        if tensor.dtype in ("F16", "BF16"):
            blocks = self._bytes(tensor).reshape(-1, 2 * tensor.shape[-1])
            return Quantised(tensor.dtype, tensor.shape, blocks)
        raise UnsupportedError(
            f"{self.path}: tensor {quoted(name)} is {tensor.dtype}; weights are read in F32, F16 and BF16, "
            "take the model in one of these"
        )

    def array(self, name: str) -> NDArray[Any]:
        """The tensor as a view of the numpy type that it has; BF16 as uint16 bits, 8-bit floats and BOOL as uint8.

        Raises UnsupportedError for elements that are no whole bytes.
        """
        tensor = self._tensor(name)
        if BITS[tensor.dtype] % 8:
            raise UnsupportedError(f"{self.path}: tensor {quoted(name)} is {tensor.dtype}, which numpy does not have")
        dtype = _NUMPY.get(tensor.dtype, "<u2" if tensor.dtype == "BF16" else "u1")
        return self._bytes(tensor).view(dtype).reshape(tensor.shape)

    def release(self) -> None:
        """Give the pages read so far back to the system; views stay valid."""
        if self._map is not None:
            release_pages([self._map])

    def close(self) -> None:
        """Let go of the file. It stays mapped until the last view taken from it is gone."""
        self._map = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tensor(self, name: str) -> StoredTensor:
        if name not in self.tensors:
            raise ModelFileError(f"{self.path}: there is no tensor {quoted(name)}; is the architecture the right one?")
        return self.tensors[name]

    def _bytes(self, tensor: StoredTensor) -> NDArray[np.uint8]:
        if self._map is None:
            raise ValueError(f"{self.path} is closed")
        offset = tensor.offset if tensor.size else 0  # an empty one may lie behind the last byte
        return np.frombuffer(self._map, np.uint8, tensor.size, offset)


def _read_header(scan: JsonScan, data: int) -> tuple[dict[str, str], list[StoredTensor]]:
    """Metadata and tensors; `data` is where in the file the offsets count from."""
    metadata: dict[str, str] = {}
    found: list[StoredTensor] = []
    for name in scan.members("the header", MOST_TENSORS):
        if name == "__metadata__":
            for key in scan.members("__metadata__", MOST_METADATA):
                metadata[key] = scan.string(f"__metadata__ {quoted(key)}")
        else:
            found.append(_read_tensor(scan, name, data))
    scan.end()
    return metadata, found


def _read_tensor(scan: JsonScan, name: str, data: int) -> StoredTensor:
    field = f"tensor {quoted(name)}"
    if not 0 < len(name) <= LONGEST_NAME:
        raise scan.error(f"{field} has a name of {len(name)} characters; expected 1 to {LONGEST_NAME}")
    entry = scan.small_object(field)
    if set(entry) != {"dtype", "shape", "data_offsets"}:
        raise scan.error(f"{field} has the members {quoted(', '.join(entry))}; expected dtype, shape and data_offsets")
    dtype, shape = entry["dtype"], _integers(scan, entry["shape"], f"the shape of {field}")
    offsets = _integers(scan, entry["data_offsets"], f"the data_offsets of {field}")
    if not isinstance(dtype, str):
        raise scan.error(f"the dtype of {field} is {quoted(str(dtype))}; expected a string")
    if dtype not in BITS:
        raise UnsupportedError(f"{scan.path}: {field} is of the dtype {quoted(dtype)}; known are {', '.join(BITS)}")
    if len(shape) > MOST_DIMENSIONS or len(offsets) != 2:
        raise scan.error(
            f"{field} has {len(shape)} dimensions and {len(offsets)} offsets; expected at most {MOST_DIMENSIONS}, and 2"
        )
    begin, end = offsets
    bits = math.prod(shape) * BITS[dtype]
    if bits != 8 * (end - begin):
        raise scan.error(f"{field} lies at {begin} to {end}, but {dtype} of shape {shape} takes {-(-bits // 8)} bytes")
    if math.prod(length or 1 for length in shape) >= 2**62:  # an empty tensor that numpy cannot have
        raise scan.error(f"{field} has the shape {shape}; expected fewer elements than that")
    return StoredTensor(name, dtype, shape, data + begin, end - begin)


def _integers(scan: JsonScan, value: object, field: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(number) is int and 0 <= number < 2**64 for number in value):
        raise scan.error(f"{field} is {quoted(str(value))}; expected a list of integers from 0")
    return tuple(value)


def _check_filled(path: Path, found: list[StoredTensor], data: int, end: int) -> None:
    """The tensors have to lie end to end, from the begin of the data to the end of the file."""
    before, reached = "the header", data
    for tensor in sorted(found, key=lambda tensor: (tensor.offset, tensor.size)):
        if tensor.offset != reached:
            raise ModelFileError(
                f"{path}: tensor {quoted(tensor.name)} begins at byte {tensor.offset}, but {before} ends at {reached}; "
                "expected tensors without overlap or gap, fetch the file again"
            )
        before, reached = f"tensor {quoted(tensor.name)}", tensor.offset + tensor.size
    if reached != end:
        raise ModelFileError(
            f"{path}: {before} ends at byte {reached}, but the file at {end}; it is incomplete, fetch it again"
        )
