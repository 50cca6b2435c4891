"""A low-rank adapter on disk: the folder that PEFT writes and reads, in the names of Hugging Face.

    adapter_config.json         rank, alpha, which modules
    adapter_model.safetensors   base_model.model.<module>.lora_A.weight (rank, in) and .lora_B.weight (out, rank)
    gadfly.json                 what it was made from, if Gadfly made it

Plain adapters of linear layers are read, all of one rank; what else PEFT knows (DoRA, biases, embeddings, patterns of
ranks) is refused by name.
Source: peft 0.21, `LoraConfig` and `save_pretrained`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Page
from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.quant import decode
from gadfly.spec import ModelSpec
from gadfly.weight import Deferred, Int8, Joined, Matrix, Plain, Quantised, Reordered, Stack, Weight, Weights
from gadfly.weights.disk import new_file, replacing_folder
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors import Safetensors
from gadfly.weights.safetensors_writer import write_safetensors

__all__ = ["Adapter", "Pair", "base_of", "merged", "read_adapter", "write_adapter"]

CONFIG, TENSORS, FACTS = "adapter_config.json", "adapter_model.safetensors", "gadfly.json"
PREFIX, DOWN, UP, WEIGHT = "base_model.model.", ".lora_A.weight", ".lora_B.weight", ".weight"
LARGEST_CONFIG = 1_000_000  # bytes
FIXED = {"bias": ("none",), "use_dora": (False,), "fan_in_fan_out": (False,), "peft_type": ("LORA",)}
EMPTY = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication", "trainable_token_indices")


@dataclass(frozen=True, eq=False)
class Pair:
    """`down` is (rank, in), `up` (out, rank), float32; what they add to a matrix is scale · up · down."""

    down: NDArray[np.float32]
    up: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Adapter:
    """`pairs` by the path of the matrix that they belong to. `facts` say where it came from."""

    pairs: Mapping[str, Pair]
    scale: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return len(next(iter(self.pairs.values())).down)


def write_adapter(
    folder: Path, adapter: Adapter, page: Page, base: str = "", others: Mapping[str, bytes] | None = None
) -> None:
    """Write a folder that does not exist yet. `base` is the name of its model, `others` more files by name.

    Raises UnsupportedError where a file of this architecture fuses matrices that were adapted one by one.
    """
    named = {path: _module(page, path) for path in adapter.pairs}
    tensors = {
        f"{PREFIX}{module}{suffix}": ("F32", array.shape, array)
        for path, module in named.items()
        for suffix, array in ((DOWN, adapter.pairs[path].down), (UP, adapter.pairs[path].up))
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
        "target_modules": sorted(named.values()),
    }
    files = {CONFIG: _json(config), FACTS: _json(adapter.facts), **(others or {})}
    size = sum(math.prod(shape) * 4 for _, shape, _ in tensors.values()) + sum(map(len, files.values()))
    with replacing_folder(folder.absolute(), size) as aside:
        write_safetensors(aside / TENSORS, tensors)
        for name, content in files.items():
            with new_file(aside / name) as file:
                file.write(content)


def merged(file: ModelFile, adapter: Adapter) -> ModelFile:
    """The model with the adapter in its weights: float32 where it is, computed when read, some rows at a time."""
    weights: dict[str, Weight] = {path: file.weights[path] for path in file.weights}
    for path, pair in adapter.pairs.items():
        weights[path] = _sum(file.weights[path], pair, adapter.scale)
    return replace(file, weights=Weights(weights))


def _sum(base: Weight, pair: Pair, scale: float) -> Deferred:
    assert not isinstance(base, Stack)
    matrix: Matrix = base

    def rows(index: slice | NDArray[np.intp]) -> Plain:
        return Plain(_floats(matrix.rows(index)) + np.float32(scale) * (pair.up[index] @ pair.down))

    return Deferred(matrix.shape, lambda: rows(slice(None)), rows)


def read_adapter(folder: Path, page: Page, spec: ModelSpec) -> Adapter:
    """Raises NotFoundError, UnsupportedError or ModelFileError with what is wrong."""
    config = _object(folder / CONFIG)
    for key, allowed in FIXED.items():
        if config.get(key, allowed[0]) not in allowed:
            raise UnsupportedError(f"{folder / CONFIG}: {key} is {config[key]!r:.40}; only plain LoRA is read")
    for key in EMPTY:
        if config.get(key):
            raise UnsupportedError(f"{folder / CONFIG}: {key} is set; only adapters of one rank and alpha are read")
    rank = int(_number(folder / CONFIG, config, "r", 4096))
    alpha = _number(folder / CONFIG, config, "lora_alpha", 1e6)
    pairs = _pairs(folder / TENSORS, page, spec, rank)
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    facts = _object(folder / FACTS) if (folder / FACTS).exists() else {}
    return Adapter(pairs, scale, facts)


def base_of(folder: Path) -> str | None:
    """The model that an adapter says that it is for. Raises as `read_adapter` does."""
    name = _object(folder / CONFIG).get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def _number(path: Path, config: Mapping[str, Any], key: str, high: float) -> float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= high:
        raise ModelFileError(f"{path}: {key} is {value!r:.40}; expected a number above 0 and up to {high:g}")
    return float(value)


def _pairs(path: Path, page: Page, spec: ModelSpec, rank: int) -> dict[str, Pair]:
    shapes = dict(spec.shapes())
    halves: dict[str, dict[str, NDArray[np.float32]]] = {}
    with Safetensors.open(path) as file:
        for name in file.tensors:
            suffix = DOWN if name.endswith(DOWN) else UP
            module = name.removeprefix(PREFIX).removesuffix(suffix)
            entry = page.hf.names.find(module + WEIGHT)
            if not (name.startswith(PREFIX) and name.endswith(suffix)) or entry is None:
                raise ModelFileError(f"{path}: {name!r:.100} is no adapter of a matrix of a {page.name} model")
            if len(entry.paths) != 1 or entry.per_expert:
                raise UnsupportedError(f"{path}: {name!r:.100} adapts several matrices at once, which is not supported")
            out, inner = shapes[entry.paths[0]][-2:] if entry.paths[0] in shapes else (0, 0)
            expected = (rank, inner) if suffix == DOWN else (out, rank)
            if file.tensors[name].shape != expected:
                raise ModelFileError(
                    f"{path}: {name!r:.100} has the shape {file.tensors[name].shape}; expected {expected} here"
                )
            halves.setdefault(entry.paths[0], {})[suffix] = np.array(_floats(file.weight(name)))
    if not halves or any(len(found) != 2 for found in halves.values()):
        raise ModelFileError(f"{path}: expected lora_A and lora_B for each of one or more modules; fetch it again")
    return {p: Pair(found[DOWN], found[UP]) for p, found in halves.items()}


def _floats(weight: Matrix) -> NDArray[np.float32]:
    """Decoded."""
    match weight:
        case Plain(array):
            return array
        case Quantised(kind, shape, blocks):
            return decode(kind, blocks).reshape(shape)
        case Int8():
            return weight.decode()
        case Reordered() | Joined() | Deferred():
            return _floats(weight.rows(slice(None)))


def _module(page: Page, path: str) -> str:
    entry = page.hf.names.entry(path)
    if entry is None or len(entry.paths) != 1 or entry.per_expert:
        raise UnsupportedError(
            f"{page.name} files have no matrix of its own for {path}, so it has no adapter in PEFT's form"
        )
    return entry.name.removesuffix(WEIGHT)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


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
