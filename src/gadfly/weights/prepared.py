"""Models whose matrices lie in their file as kernels multiply them: what `gadfly convert --for streaming` makes.

    metadata   of the model, as in every GGUF file; "gadfly.packed" lists layouts, with a digest of how each is packed
    tensors    by their paths in the runtime's tree. "blocks.3.ffn.gate.Q4_K" holds a matrix, or one of every expert,
               packed in that layout: bytes (I8), each matrix whole pages of the file. Vectors are float32

Nothing has to be packed for such a file, neither at a start nor into a cache, and its experts can be read directly.
What the runtime does to weights when it loads them has been done. Other programs refuse it: they know none of its
tensors.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Page
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.ops.native import Native
from gadfly.quant import BYTES, FORMATS
from gadfly.quant.native import decode_packed
from gadfly.spec import ModelSpec, Parallel
from gadfly.weight import Matrix, Packed, Plain, Stack, Weight, Weights, is_stack, unstack
from gadfly.weights.disk import read_directly
from gadfly.weights.gguf import GGUF, TensorInfo
from gadfly.weights.gguf_cursor import quoted
from gadfly.weights.model_file import ModelFile
from gadfly.weights.packed import PAGE, layout_digest, packed_size, whole_pages

__all__ = ["LAYOUTS", "Prepared", "is_prepared", "prepared_keys", "prepared_weights", "tensor_name", "tensor_shape"]

LAYOUTS = "gadfly.packed"
KNOWN = (*FORMATS, "I8")


def is_prepared(file: GGUF | ModelFile) -> bool:
    return LAYOUTS in file.metadata


def tensor_name(path: str, layout: str) -> str:
    return f"{path}.{layout}"


def tensor_shape(layout: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the bytes of a matrix (out, in), or of a stack of them."""
    return (*shape[:-2], whole_pages(packed_size(layout, *shape[-2:])))


def prepared_keys(spec: ModelSpec, architecture: str, layouts: Iterable[str]) -> dict[str, Any]:
    """Metadata of a prepared file beside what every GGUF file says: some of it elsewhere follows from tensors."""
    return {
        "general.alignment": np.uint32(PAGE),
        f"{architecture}.vocab_size": np.uint32(spec.vocab),
        f"{architecture}.residual_moe": any(isinstance(block.ffn, Parallel) for block in spec.blocks),
        LAYOUTS: [f"{layout} {layout_digest(layout)}" for layout in sorted(set(layouts))],
    }


def prepared_weights(gguf: GGUF, page: Page, spec: ModelSpec) -> Weights[Weight]:
    """Weights by path. A missing output is the embedding.

    Raises UnsupportedError if kernels read otherwise by now, ModelFileError for gaps, surplus and wrong shapes.
    """
    if len(gguf.paths) > 1:
        raise UnsupportedError(f"{gguf.paths[0]} is prepared for streaming and split; put its parts together again")
    digests, left = _digests(gguf), dict(gguf.tensors)
    for name in gguf.tensors:
        entry = page.gguf.names.find(name)
        if entry and entry.paths[0].startswith("spec."):
            del left[name]
    found = {name.rpartition(".")[0] if tensor.format == BYTES.name else name: name for name, tensor in left.items()}
    weights: dict[str, Weight] = {}
    for path, shape in spec.shapes():
        if path not in found:
            if path == "output":
                continue
            raise _wrong(gguf, f"{quoted(path)} is missing")
        tensor = left.pop(found[path])
        weights[path] = _vector(gguf, tensor, shape) if len(shape) == 1 else _matrix(gguf, tensor, shape, digests)
    weights.setdefault("output", weights["embedding"])
    if left:
        raise _wrong(gguf, f"the tensor {quoted(min(left))} belongs to no part of this model")
    return Weights(weights)


def _digests(gguf: GGUF) -> Mapping[str, str]:
    lines = gguf.metadata[LAYOUTS]
    if not isinstance(lines, list):
        raise _wrong(gguf, f"{LAYOUTS} is no list of layouts")
    return {layout: digest for layout, _, digest in (line.partition(" ") for line in lines)}


def _vector(gguf: GGUF, tensor: TensorInfo, shape: tuple[int, ...]) -> Plain:
    weight = gguf.weight(tensor.name)
    if not isinstance(weight, Plain) or weight.shape != shape:
        raise _wrong(gguf, f"the tensor {quoted(tensor.name)} is {tensor.format} {tensor.shape}; expected F32 {shape}")
    return weight


def _matrix(gguf: GGUF, tensor: TensorInfo, shape: tuple[int, ...], digests: Mapping[str, str]) -> Weight:
    layout = tensor.name.rpartition(".")[2]
    if tensor.format != BYTES.name or layout not in KNOWN:
        raise _wrong(gguf, f"the tensor {quoted(tensor.name)} is packed in no layout that there is")
    if digests.get(layout) != layout_digest(layout):
        raise UnsupportedError(
            f"{gguf.paths[0]} was prepared by another version of Gadfly, whose kernels read {layout} otherwise; "
            "prepare it anew: gadfly convert ORIGINAL NEW.gguf --for streaming"
        )
    try:
        expected = tensor_shape(layout, shape)
    except (ValueError, MemoryError):  # columns that are not whole blocks; more bytes than there could be
        raise _wrong(gguf, f"a matrix {shape[-2:]} such as {quoted(tensor.name)} cannot be {layout}") from None
    if tensor.shape != expected or tensor.offset % PAGE:
        raise _wrong(
            gguf,
            f"the tensor {quoted(tensor.name)} has shape {tensor.shape} at byte {tensor.offset}; expected {expected} "
            f"at a multiple of {PAGE}",
        )
    rows, columns = shape[-2:]
    size, pages = packed_size(layout, rows, columns), expected[-1]
    data = gguf.data(tensor.name)
    starts = range(0, data.size, pages)
    parts = [_packed(layout, (rows, columns), data[at : at + size], tensor.offset + at) for at in starts]
    return Stack(tuple(parts)) if len(shape) == 3 else parts[0]


def _packed(layout: str, shape: tuple[int, int], data: NDArray[np.uint8], offset: int) -> Packed:
    def rows(index: slice | NDArray[np.intp]) -> Plain:
        return Plain(decode_packed(layout, shape, data, np.arange(shape[0])[index]))

    return Packed(shape, lambda: rows(slice(None)), rows, layout=layout, packed=data, offset=offset)


def _wrong(gguf: GGUF, what: str) -> ModelFileError:
    return ModelFileError(f"{gguf.paths[0]}: {what}; the file is damaged, convert the model again")


class Prepared:
    """The matrices of such a file, where they lie: in the place of a cache of packed weights."""

    filed = False
    note = ""

    def __init__(self, file: ModelFile) -> None:
        self.path = file.path
        self.size = file.path.stat().st_size

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def holds(self, weight: Weight) -> bool:
        return all(isinstance(part, Packed) for part in unstack(weight))

    def extents(self, weight: Weight) -> list[tuple[int, int]]:
        """Of the matrix, or those of a stack: the number of the file, and the byte that it begins with."""
        return [(0, part.offset) for part in unstack(weight) if isinstance(part, Packed)]

    def read(self, weight: Matrix, backend: Native) -> Any:
        """A matrix into memory of its own."""
        assert isinstance(weight, Packed)
        return backend.adopt(weight, read_directly(self.path, weight.offset, weight.size))

    def place(self, weight: Weight, backend: Native) -> Any:
        """A matrix, or those of a stack, over the mapped bytes."""
        placed = [backend.adopt(part, part.packed) for part in unstack(weight) if isinstance(part, Packed)]
        return placed if is_stack(weight) else placed[0]

    def read_ahead(self) -> None:
        """Ask the system to read all of it now, rather than page by page as it is used."""
        if hasattr(os, "posix_fadvise"):
            with self.path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
