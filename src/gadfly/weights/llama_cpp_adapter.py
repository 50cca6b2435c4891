"""A low-rank adapter as a GGUF file, as llama.cpp takes it with --lora.

    general.type = "adapter", adapter.type = "lora", general.architecture as of its model, adapter.lora.alpha
    <tensor of the model>.lora_a    (rank, in)
    <tensor of the model>.lora_b    (out, rank), its rows in the order that the model's tensor has in such files

What is added is alpha / rank · b · a, with the rank of each pair. Source: llama.cpp, src/llama-adapter.cpp.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Page
from gadfly.errors import UnsupportedError
from gadfly.spec import ModelSpec
from gadfly.weight import Plain, Stack
from gadfly.weights.adapter import Adapter
from gadfly.weights.gguf_metadata import Value
from gadfly.weights.gguf_writer import write_gguf

__all__ = ["write_gguf_adapter"]


def write_gguf_adapter(path: Path, adapter: Adapter, page: Page, spec: ModelSpec, name: str) -> None:
    """Write a file, in float32. `name` is what it says that it is called.

    Raises UnsupportedError where such files fuse matrices that were adapted one by one.
    """
    tensors = {}
    for place, pair in adapter.pairs.items():
        entry = page.gguf.names.entry(place)
        if entry is None or len(entry.paths) != 1:
            raise UnsupportedError(f"GGUF files of {page.name} have no matrix of its own for {place}; merge it instead")
        up = page.gguf.restore(place, Plain(pair.up), spec)
        assert not isinstance(up, Stack)
        for suffix, array in (("lora_a", pair.down), ("lora_b", _array(up.rows(slice(None))))):
            tensors[f"{entry.name}.{suffix}"] = ("F32", array.shape, array)
    metadata: dict[str, Value | np.generic] = {
        "general.architecture": page.gguf_name,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": np.float32(adapter.scale * adapter.rank),
        "general.name": name,
    }
    write_gguf(path, metadata, tensors)


def _array(weight: object) -> NDArray[np.float32]:
    assert isinstance(weight, Plain)
    return weight.array
