"""From a GGUF file to a spec and its weights: every tensor accounted for, none copied, no backend involved."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Config, Page, page_for
from gadfly.weight import Plain, Stored
from gadfly.weights.assemble import assemble
from gadfly.weights.gguf import GGUF
from gadfly.weights.model_file import ModelFile

__all__ = ["open_gguf"]

NO_TOKENIZER = ("none", "no_vocab")  # what llama.cpp writes if there is none


def open_gguf(path: Path) -> ModelFile:
    """Open a GGUF file. Raises ModelFileError or UnsupportedError, naming the file and what is wrong with it."""
    tensors = GGUFTensors(GGUF.open(path))
    gguf = tensors.gguf
    name = str(gguf.metadata.get("general.architecture", ""))
    config = Config(tensors.source, vocabulary(gguf, name), gguf=name)
    page = page_for(config, name)
    spec = page.spec(Config(tensors.source, config.values, spec_tensors(gguf, page), gguf=name))
    return ModelFile(
        path=gguf.paths[0],
        page=page,
        spec=spec,
        weights=assemble(tensors, page.gguf, spec),
        metadata=gguf.metadata,
        tokenizer=gguf.paths[0] if gguf.metadata.get("tokenizer.ggml.model", "none") not in NO_TOKENIZER else None,
        release=gguf.release,
    )


class GGUFTensors:
    """A GGUF file's tensors, as `assemble` reads them."""

    def __init__(self, gguf: GGUF) -> None:
        self.gguf = gguf
        self.source = str(gguf.paths[0])

    def names(self) -> Iterable[str]:
        return self.gguf.tensors

    def weight(self, name: str) -> Stored:
        return self.gguf.weight(name)


def vocabulary(gguf: GGUF, architecture: str) -> Mapping[str, object]:
    """The metadata; where it does not say how large the vocabulary is, the embedding does."""
    key, table = f"{architecture}.vocab_size", gguf.tensors.get("token_embd.weight")
    if key in gguf.metadata or table is None:
        return gguf.metadata
    return {**gguf.metadata, key: table.shape[0]}


def spec_tensors(gguf: GGUF, page: Page) -> dict[str, NDArray[np.float32]]:
    found = {name: page.gguf.names.find(name) for name in gguf.tensors}
    weights = {
        entry.paths[0]: gguf.weight(name)
        for name, entry in found.items()
        if entry and entry.paths[0].startswith("spec.")
    }
    return {path: weight.array.reshape(-1) for path, weight in weights.items() if isinstance(weight, Plain)}
