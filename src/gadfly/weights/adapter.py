"""A low-rank adapter on disk: the folder that PEFT writes and reads, in the names of Hugging Face.

    adapter_config.json         rank, alpha, which modules
    adapter_model.safetensors   base_model.model.<module>.lora_A.weight (rank, in) and .lora_B.weight (out, rank)
    gadfly.json                 what it was made from, if Gadfly made it, and perhaps whom it plays

Plain adapters of linear layers are read, all of one rank, of experts one by one and of all; what else PEFT knows (DoRA,
biases, embeddings, patterns of ranks) is refused by name.
Written by `gadfly.weights.adapter_writer`. Source: peft 0.21, `LoraConfig` and `save_pretrained`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Page
from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.spec import ModelSpec
from gadfly.weight import Deferred, Matrix, Plain, Stack, Weight, Weights, unstack
from gadfly.weights.gguf_adapter import read_gguf_adapter, read_gguf_facts
from gadfly.weights.low_rank import Adapter, Half, Pair, floats, paired
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors import Safetensors

__all__ = [
    "CONFIG",
    "DOWN",
    "FACTS",
    "PREFIX",
    "TENSORS",
    "UP",
    "WEIGHT",
    "Adapter",
    "Pair",
    "base_of",
    "merged",
    "read_adapter",
    "read_facts",
]

CONFIG, TENSORS, FACTS = "adapter_config.json", "adapter_model.safetensors", "gadfly.json"
PREFIX, DOWN, UP, WEIGHT = "base_model.model.", ".lora_A.weight", ".lora_B.weight", ".weight"
LARGEST_CONFIG = 1_000_000  # bytes
FIXED = {"bias": ("none",), "use_dora": (False,), "fan_in_fan_out": (False,), "peft_type": ("LORA",)}
EMPTY = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication", "trainable_token_indices")


def merged(file: ModelFile, adapter: Adapter) -> ModelFile:
    """The model with the adapter in its weights: float32 where it is, computed when read, some rows at a time."""
    weights: dict[str, Weight] = {path: file.weights[path] for path in file.weights}
    for path, pair in adapter.pairs.items():
        weights[path] = _sum(file.weights[path], pair, adapter.scale)
    return replace(file, weights=Weights(weights))


def _sum(base: Weight, pair: Pair, scale: float) -> Weight:
    if pair.down.ndim == 3:
        parts = zip(unstack(base), pair.down, pair.up, strict=True)
        return Stack(tuple(_matrix_sum(matrix, Pair(down, up), scale) for matrix, down, up in parts))
    assert not isinstance(base, Stack)
    return _matrix_sum(base, pair, scale)


def _matrix_sum(matrix: Matrix, pair: Pair, scale: float) -> Deferred:

    def rows(index: slice | NDArray[np.intp]) -> Plain:
        return Plain(floats(matrix.rows(index)) + np.float32(scale) * (pair.up[index] @ pair.down))

    return Deferred(matrix.shape, lambda: rows(slice(None)), rows)


def read_adapter(folder: Path, page: Page, spec: ModelSpec) -> Adapter:
    """From PEFT's folder, or from a GGUF file. Raises NotFoundError, UnsupportedError or ModelFileError."""
    if folder.suffix == ".gguf" and not folder.is_dir():
        return read_gguf_adapter(folder, page, spec)
    config = _object(folder / CONFIG)
    for key, allowed in FIXED.items():
        if config.get(key, allowed[0]) not in allowed:
            raise UnsupportedError(f"{folder / CONFIG}: {key} is {config[key]!r:.40}; only plain LoRA is read")
    for key in EMPTY:
        if config.get(key):
            raise UnsupportedError(f"{folder / CONFIG}: {key} is set; only adapters of one rank and alpha are read")
    rank = int(_number(folder / CONFIG, config, "r", 4096))
    alpha = _number(folder / CONFIG, config, "lora_alpha", 1e6)
    with Safetensors.open(folder / TENSORS) as file:
        pairs = paired(folder / TENSORS, _halves(folder / TENSORS, file), page.hf, spec)
    found = next(iter(pairs.values())).rank
    if found != rank:
        raise ModelFileError(f"{folder / CONFIG}: r is {rank}, but the factors' shape says {found}")
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return Adapter(pairs, scale, read_facts(folder))


def read_facts(path: Path) -> Mapping[str, Any]:
    """What an adapter says of itself; empty if it was not made by Gadfly. Raises as `read_adapter` does."""
    if path.suffix == ".gguf" and not path.is_dir():
        return read_gguf_facts(path)
    return _object(path / FACTS) if (path / FACTS).exists() else {}


def base_of(folder: Path) -> str | None:
    """The model that an adapter says that it is for. Raises as `read_adapter` does."""
    gguf = folder.suffix == ".gguf" and not folder.is_dir()
    name = read_facts(folder).get("base") if gguf else _object(folder / CONFIG).get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def _number(path: Path, config: Mapping[str, Any], key: str, high: float) -> float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= high:
        raise ModelFileError(f"{path}: {key} is {value!r:.40}; expected a number above 0 and up to {high:g}")
    return float(value)


def _halves(path: Path, file: Safetensors) -> Iterator[tuple[str, str, Half, Matrix]]:
    for name in file.tensors:
        suffix = DOWN if name.endswith(DOWN) else UP
        if not (name.startswith(PREFIX) and name.endswith(suffix)):
            raise ModelFileError(f"{path}: {name!r:.100} is no half of a LoRA adapter as PEFT writes them")
        half: Half = "down" if suffix == DOWN else "up"
        yield name, name.removeprefix(PREFIX).removesuffix(suffix) + WEIGHT, half, file.weight(name)


def _object(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_CONFIG + 1)
        if len(data) > LARGEST_CONFIG:
            raise ValueError(f"it has more than {LARGEST_CONFIG} bytes")
        value = json.loads(data)
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")
    except FileNotFoundError:
        raise NotFoundError(f"there is no {path}; an adapter is a folder with this file in it") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: {error}; fetch it again") from error
    return value
