"""Plans for what is written: GGUF files, also such as kernels read as they are, and Hugging Face folders."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gadfly.convert.plan import CODES, SCALES, FilePlan, Piece, groups, piece_bytes
from gadfly.quant import BYTES
from gadfly.weights.export import OutTensor
from gadfly.weights.gguf_metadata import Value
from gadfly.weights.gguf_writer import gguf_layout
from gadfly.weights.hf_model import SCALE
from gadfly.weights.packed import packed_size
from gadfly.weights.prepared import tensor_name, tensor_shape
from gadfly.weights.safetensors_writer import safetensors_layout, safetensors_parts

__all__ = ["Choose", "folder_plans", "gguf_plan", "prepared_bytes", "prepared_plan"]

Choose = Callable[[OutTensor], str]  # the format of a tensor

DTYPES = {"F32": "F32", "F16": "F16", "BF16": "BF16", CODES: "I8", SCALES: "BF16"}


def gguf_plan(
    name: str, metadata: Mapping[str, Value | np.generic], tensors: Sequence[OutTensor], choose: Choose
) -> FilePlan:
    formats = {tensor.name: choose(tensor) for tensor in tensors}
    layout = gguf_layout(metadata, {tensor.name: (formats[tensor.name], tensor.shape) for tensor in tensors})
    pieces = tuple(
        Piece(tensor, form := formats[tensor.name], layout.offsets[tensor.name], piece_bytes(tensor, form))
        for tensor in tensors
    )
    return FilePlan(name, layout.header, pieces, layout.size)


def prepared_plan(
    name: str, metadata: Mapping[str, Value | np.generic], tensors: Sequence[OutTensor], choose: Choose
) -> FilePlan:
    """As `gadfly.weights.prepared` reads it; tensors are called by their paths. A matrix is a piece of its own."""
    formats = {tensor.name: choose(tensor) for tensor in tensors}
    names = {t.name: tensor_name(t.name, formats[t.name]) if len(t.shape) > 1 else t.name for t in tensors}
    held = {
        names[t.name]: (BYTES.name, tensor_shape(formats[t.name], t.shape)) if len(t.shape) > 1 else ("F32", t.shape)
        for t in tensors
    }
    layout = gguf_layout(metadata, held)
    pieces: list[Piece] = []
    for tensor in tensors:
        offset, form = layout.offsets[names[tensor.name]], formats[tensor.name]
        if len(tensor.shape) == 1:
            pieces.append(Piece(tensor, form, offset, piece_bytes(tensor, form)))
            continue
        stride = held[names[tensor.name]][1][-1]
        for number, part in enumerate(tensor.parts):
            expert = number if len(tensor.shape) == 3 else None
            matrix = OutTensor(tensor.name, tensor.path, part.shape, (part,), expert)
            size = packed_size(form, *part.shape)
            pieces.append(Piece(matrix, form, offset + number * stride, size, packed=True))
    return FilePlan(name, layout.header, tuple(pieces), layout.size)


def prepared_bytes(tensor: OutTensor, format_name: str) -> int:
    """Bytes of a tensor in a prepared file."""
    if len(tensor.shape) == 1:
        return piece_bytes(tensor, format_name)
    return math.prod(tensor_shape(format_name, tensor.shape))


def folder_plans(tensors: Sequence[OutTensor], choose: Choose) -> tuple[list[FilePlan], dict[str, bytes]]:
    """The files of tensors, and the index that belongs to them, if there are several."""
    held: dict[str, tuple[OutTensor, str, tuple[int, ...]]] = {}
    for tensor in tensors:
        format_name = choose(tensor)
        held[tensor.name] = (tensor, format_name, tensor.shape)
        if format_name == CODES:
            held[tensor.name + SCALE] = (tensor, SCALES, (tensor.shape[0], groups(tensor)))
    parts, index = safetensors_parts({name: piece_bytes(tensor, form) for name, (tensor, form, _) in held.items()})
    files = []
    for file, names in parts.items():
        layout = safetensors_layout({name: (DTYPES[held[name][1]], held[name][2]) for name in names})
        pieces = tuple(
            Piece(held[name][0], held[name][1], offset, piece_bytes(*held[name][:2]))
            for name, offset in layout.offsets.items()
        )
        files.append(FilePlan(file, layout.header, pieces, layout.size))
    return files, index
