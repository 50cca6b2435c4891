"""An open model written as a GGUF file, in float32 and in the plainest way: what tests hold `convert` against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gadfly.arch.describe import describe_gguf
from gadfly.ops.reference import Reference
from gadfly.weights.export import export
from gadfly.weights.gguf_writer import write_gguf
from gadfly.weights.model_file import ModelFile

__all__ = ["write_model"]


def write_model(file: ModelFile, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    place = Reference().place
    tensors = {}
    for tensor in export(file.weights, file.spec, file.page.gguf):
        values = np.concatenate([place(part).reshape(-1) for part in tensor.parts])
        tensors[tensor.name] = ("F32", tensor.shape, values)
    for spec_path, values in file.page.tensors(file.spec).items():
        entry = file.page.gguf.names.entry(spec_path)
        assert entry is not None
        tensors[entry.name] = ("F32", values.shape, values)
    write_gguf(
        path,
        {"general.architecture": file.page.gguf_name, **describe_gguf(file.page, file.spec), **(metadata or {})},
        tensors,
    )
