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
from gadfly.weights.prepared import is_prepared, prepared_weights

__all__ = ["open_gguf"]

NO_TOKENIZER = ("none", "no_vocab")  # what llama.cpp writes if there is none


def open_gguf(path: Path) -> ModelFile:
    """Open a GGUF file. Raises ModelFileError or UnsupportedError, naming the file and what is wrong with it."""
    tensors = GGUFTensors(GGUF.open(path))
    gguf = tensors.gguf
    name = str(gguf.metadata.get("general.architecture", ""))
    config = Config(tensors.source, hyperparameters(gguf, name), gguf=name)
    page = page_for(config, name)
    spec = page.spec(Config(tensors.source, config.values, spec_tensors(gguf, page), gguf=name))
    return ModelFile(
        path=gguf.paths[0],
        page=page,
        spec=spec,
        weights=prepared_weights(gguf, page, spec) if is_prepared(gguf) else assemble(tensors, page.gguf, spec),
        metadata=gguf.metadata,
        tokenizer=gguf.paths[0] if gguf.metadata.get("tokenizer.ggml.model", "none") not in NO_TOKENIZER else None,
        release=gguf.release,
        files=gguf.paths,
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


def hyperparameters(gguf: GGUF, architecture: str) -> Mapping[str, object]:
    """The architecture's keys, and what they leave to the tensors to say: how large the vocabulary is (the embedding
    knows), and whether a dense feed-forward stands beside the experts."""
    said: dict[str, object] = {
        f"{architecture}.residual_moe": {"blk.0.ffn_up.weight", "blk.0.ffn_up_exps.weight"} <= gguf.tensors.keys()
    }
    if table := gguf.tensors.get("token_embd.weight"):
        said[f"{architecture}.vocab_size"] = table.shape[0]
    return said | {key: gguf.metadata[key] for key in gguf.metadata if key.startswith(f"{architecture}.")}


def spec_tensors(gguf: GGUF, page: Page) -> dict[str, NDArray[np.float32]]:
    found = {name: page.gguf.names.find(name) for name in gguf.tensors}
    weights = {
        entry.paths[0]: gguf.weight(name)
        for name, entry in found.items()
        if entry and entry.paths[0].startswith("spec.")
    }
    return {path: weight.array.reshape(-1) for path, weight in weights.items() if isinstance(weight, Plain)}
