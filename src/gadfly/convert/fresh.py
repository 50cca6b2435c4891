"""A new model of any architecture and size, as a Hugging Face folder, in memory that does not depend on its size.

Every number is drawn when it is written: see `initial`. What the folder holds beside tensors is what a conversion puts
there. In the layout of xAI's release: `fresh_release`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Page
from gadfly.convert.initial import deviation, normal, vector
from gadfly.convert.surroundings import folder_files
from gadfly.quant import FORMATS, encode
from gadfly.spec import ModelSpec
from gadfly.weight import Plain, Reordered, Weight, Weights
from gadfly.weights.export import OutTensor, export
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors_writer import write_safetensors_folder

__all__ = ["CHUNK", "DTYPES", "Advance", "Counter", "write_fresh"]

DTYPES: Mapping[str, str] = {"BF16": "bfloat16", "F32": "float32"}  # formats, and what config.json calls them
CHUNK = 2**20  # numbers that are drawn, encoded and written together

Advance = Callable[[int, int | None], None]  # bytes written, and of how many


@dataclass
class Counter:
    """Bytes that have been handed to a writer."""

    advance: Advance
    total: int
    done: int = 0

    def count(self, piece: NDArray[Any]) -> NDArray[Any]:
        self.done += piece.nbytes
        self.advance(self.done, self.total)
        return piece


def write_fresh(
    folder: Path,
    page: Page,
    spec: ModelSpec,
    seed: int,
    format_name: str,
    tied: bool,
    others: Mapping[str, bytes],
    advance: Advance,
) -> int:
    """Write `folder`, which must not exist yet or be empty: its bytes. `others` are a tokenizer's files by name.

    `format_name` is a key of DTYPES; routers are float32. Raises CapacityError if the disk is too small, ModelFileError
    if the folder cannot be written.
    """
    model = _unborn(folder, page, spec, tied)
    tensors = export(model.weights, spec, page.hf)
    formats = {tensor.name: "F32" if tensor.path.endswith("router") else format_name for tensor in tensors}
    sizes = {tensor.name: tensor.parameters * FORMATS[formats[tensor.name]].block_bytes for tensor in tensors}
    counter = Counter(advance, sum(sizes.values()))
    files = {**folder_files(model, DTYPES[format_name]), **others}
    write_safetensors_folder(
        folder,
        {
            tensor.name: (
                formats[tensor.name],
                tensor.shape,
                _chunks(tensor, formats[tensor.name], seed, len(spec.blocks), counter),
            )
            for tensor in tensors
        },
        files,
    )
    return counter.total + sum(map(len, files.values()))


def _unborn(folder: Path, page: Page, spec: ModelSpec, tied: bool) -> ModelFile:
    """The model with its vectors, and matrices that have a shape and no memory."""
    weights: dict[str, Weight] = {
        path: Plain(vector(path, *shape) if len(shape) == 1 else np.broadcast_to(np.float32(0), shape))
        for path, shape in spec.shapes()
    }
    if tied:
        weights["output"] = weights["embedding"]
    return ModelFile(folder, page, spec, Weights(weights), {}, None, lambda: None)


def _chunks(
    tensor: OutTensor, format_name: str, seed: int, layers: int, counter: Counter
) -> Iterator[NDArray[np.uint8]]:
    """All bytes of a tensor. Whose rows are put in another order is as random as before."""
    if len(tensor.shape) == 1:
        for part in tensor.parts:
            rows = part.rows(slice(None)) if isinstance(part, Reordered) else part
            assert isinstance(rows, Plain)
            yield counter.count(encode(format_name, rows.array.reshape(1, -1)))
        return
    size, scale = math.prod(tensor.shape), np.float32(deviation(tensor.path, tensor.shape, layers))
    for first in range(0, size, CHUNK):
        drawn = normal(seed, tensor.name, first, min(first + CHUNK, size))
        yield counter.count(encode(format_name, (drawn * scale).reshape(1, -1)))
