"""From a GGUF file to a spec and its weights: every tensor accounted for, none copied, no backend involved."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import PAGES, Config, Page
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.spec import ModelSpec
from gadfly.weight import Plain, Weight, Weights
from gadfly.weights.gguf import GGUF, TensorInfo
from gadfly.weights.model_file import ModelFile

__all__ = ["open_gguf"]


def open_gguf(path: Path) -> ModelFile:
    """Open a GGUF file. Raises ModelFileError or UnsupportedError, naming the file and what is wrong with it."""
    gguf = GGUF.open(path)
    source = str(gguf.paths[0])
    architecture = str(gguf.metadata.get("general.architecture", ""))
    if architecture not in PAGES:
        known = ", ".join(sorted(PAGES))
        raise UnsupportedError(
            f"{source}: the architecture is {architecture[:40]!r}, which Gadfly does not run yet; it runs {known}"
        )
    page = PAGES[architecture]
    paths = assign(gguf, page, source)
    config = Config(source, architecture, vocabulary(gguf, architecture), spec_tensors(gguf, paths))
    spec = page.spec(config)
    return ModelFile(
        path=gguf.paths[0],
        architecture=architecture,
        spec=spec,
        weights=collect(gguf, page, paths, spec, source),
        metadata=gguf.metadata,
        tokenizer=gguf.paths[0] if "tokenizer.ggml.model" in gguf.metadata else None,
        release=gguf.release,
    )


def assign(gguf: GGUF, page: Page, source: str) -> dict[str, TensorInfo]:
    """Tensors by the paths they belong to."""
    paths: dict[str, TensorInfo] = {}
    for name, tensor in gguf.tensors.items():
        path = page.names.path(name)
        if path is None:
            raise UnsupportedError(
                f"{source}: Gadfly does not know what the tensor {name[:60]!r} is for, so it cannot run the model "
                "faithfully"
            )
        paths[path] = tensor
    return paths


def vocabulary(gguf: GGUF, architecture: str) -> Mapping[str, object]:
    """The metadata; where it does not say how large the vocabulary is, the embedding does."""
    key, table = f"{architecture}.vocab_size", gguf.tensors.get("token_embd.weight")
    if key in gguf.metadata or table is None:
        return gguf.metadata
    return {**gguf.metadata, key: table.shape[0]}


def spec_tensors(gguf: GGUF, paths: Mapping[str, TensorInfo]) -> dict[str, NDArray[np.float32]]:
    found = {path: gguf.weight(tensor.name) for path, tensor in paths.items() if path.startswith("spec.")}
    return {path: weight.array.reshape(-1) for path, weight in found.items() if isinstance(weight, Plain)}


def collect(gguf: GGUF, page: Page, paths: Mapping[str, TensorInfo], spec: ModelSpec, source: str) -> Weights[Weight]:
    """Weights by path. A missing output is the embedding; any other gap, surplus or wrong shape is an error."""
    shapes = dict(spec.shapes())
    if surplus := sorted(path for path in paths if path not in shapes and not path.startswith("spec.")):
        raise ModelFileError(
            f"{source}: the tensor {paths[surplus[0]].name!r} belongs to no layer of a model of {len(spec.blocks)}"
        )
    weights: dict[str, Weight] = {}
    for path, shape in shapes.items():
        name = page.names.file_name(path)
        if path not in paths:
            if path == "output":
                continue
            raise ModelFileError(f"{source}: the tensor {name!r} is missing; the file is incomplete, fetch it again")
        if paths[path].shape != shape:
            raise ModelFileError(f"{source}: the tensor {name!r} has shape {paths[path].shape}; expected {shape}")
        if len(shape) == 1 and paths[path].format != "F32":
            raise UnsupportedError(f"{source}: the vector {name!r} is {paths[path].format}; only F32 is supported")
        weights[path] = page.arrange(path, gguf.weight(paths[path].name), spec)
    weights.setdefault("output", weights["embedding"])
    return Weights(weights)
