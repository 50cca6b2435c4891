"""A low-rank adapter onto disk: as the folder that PEFT reads, or as the GGUF file that llama.cpp takes.

What is in them: see `gadfly.weights.adapter` and `gadfly.weights.gguf_adapter`, which read them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gadfly.arch import Page
from gadfly.errors import UnsupportedError
from gadfly.spec import ModelSpec
from gadfly.weight import Plain
from gadfly.weights import gguf_adapter
from gadfly.weights.adapter import CONFIG, DOWN, FACTS, PREFIX, TENSORS, UP, WEIGHT
from gadfly.weights.disk import new_file, replacing_folder
from gadfly.weights.gguf_writer import write_gguf
from gadfly.weights.low_rank import Adapter, Pair, floats, matrix_names
from gadfly.weights.safetensors_writer import write_safetensors

__all__ = ["write_adapter", "write_gguf_adapter"]


def write_adapter(
    folder: Path,
    adapter: Adapter,
    page: Page,
    base: str = "",
    others: Mapping[str, bytes] | None = None,
    half: bool = False,
) -> None:
    """Write a folder that does not exist yet. `base` is the name of its model, `others` more files by name.

    Factors are float32, or `half` as large. Raises UnsupportedError where a file of this architecture fuses matrices
    that were adapted one by one.
    """
    kind, dtype = ("F16", np.float16) if half else ("F32", np.float32)
    named = {name: pair for path, pair in adapter.pairs.items() for name, pair in _named(path, pair, page)}
    tensors = {
        f"{PREFIX}{name.removesuffix(WEIGHT)}{suffix}": (kind, array.shape, array.astype(dtype))
        for name, pair in named.items()
        for suffix, array in ((DOWN, pair.down), (UP, pair.up))
    }
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base or None,
        "r": adapter.rank,
        "lora_alpha": adapter.scale * adapter.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_dora": False,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": sorted(name.removesuffix(WEIGHT) for name in named),
    }
    files = {CONFIG: _json(config), FACTS: _json(adapter.facts), **(others or {})}
    size = sum(math.prod(shape) * np.dtype(dtype).itemsize for _, shape, _ in tensors.values()) + sum(
        map(len, files.values())
    )
    with replacing_folder(folder.absolute(), size) as aside:
        write_safetensors(aside / TENSORS, tensors)
        for name, content in files.items():
            with new_file(aside / name) as file:
                file.write(content)


def write_gguf_adapter(
    path: Path, adapter: Adapter, page: Page, spec: ModelSpec, name: str, half: bool = False
) -> None:
    """Factors are float32, or `half` as large. Raises UnsupportedError as `write_adapter` does."""
    kind, dtype = ("F16", np.float16) if half else ("F32", np.float32)
    metadata: dict[str, Any] = {
        "general.architecture": page.gguf_name,
        "general.type": "adapter",
        "general.name": name,
        "adapter.type": "lora",
        "adapter.lora.alpha": float(adapter.scale * adapter.rank),
        gguf_adapter.FACTS: json.dumps(adapter.facts, ensure_ascii=False),
    }
    tensors: dict[str, Any] = {}
    for own, pair in adapter.pairs.items():
        up = pair.up if pair.up.ndim == 3 else floats(page.gguf.restore(own, Plain(pair.up), spec))
        (name_in_file,) = matrix_names(own, page.gguf, page.name)
        for suffix, factor in ((gguf_adapter.DOWN, pair.down), (gguf_adapter.UP, up)):
            tensors[name_in_file + suffix] = (kind, factor.shape, np.ascontiguousarray(factor, dtype))
    write_gguf(path, metadata, tensors)


def _named(path: str, pair: Pair, page: Page) -> Iterator[tuple[str, Pair]]:
    """Under the names of a folder, where every expert has a pair of its own."""
    if pair.down.ndim == 2:
        (name,) = matrix_names(path, page.hf, page.name)
        yield name, pair
        return
    names = matrix_names(path, page.hf, page.name, len(pair.down))
    if len(names) != len(pair.down):
        raise UnsupportedError(f"{page.name} folders fuse experts, so {path} has no adapter in this form; take a .gguf")
    yield from zip(names, map(Pair, pair.down, pair.up), strict=True)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
