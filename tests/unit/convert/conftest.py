"""Small models in every kind of file, written by Gadfly's own writers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gadfly.arch import PAGES
from gadfly.hub.progress import Silent
from gadfly.spec import ModelSpec, MoE
from gadfly.testing import random_weights, tiny_spec
from gadfly.weight import Plain, Stack, Weights
from gadfly.weights.export import export
from gadfly.weights.safetensors_writer import write_safetensors_folder
from unit.hub.conftest import hub, library, network

__all__ = ["hub", "library", "network"]

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"


class Watched(Silent):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None]] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, done: int, total: int | None) -> None:
        self.calls.append((done, total))


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """A Hugging Face folder of a random model: `write_model(page="llama", dim=64, largest=…)`."""

    def write(page: str = "llama", dim: int = 64, largest: int = 10**9, name: str = "model", seed: int = 0) -> Path:
        found = next(p for p in PAGES if p.name == page)
        spec = with_experts(tiny_spec(dim=dim)) if page == "mixtral" else tiny_spec(dim=dim)
        weights = random_weights(spec, seed)
        if page == "mixtral":
            weights = Weights({path: stacked(weights[path]) for path in weights})
        tensors = {
            tensor.name: ("F32", tensor.shape, np.concatenate([part.array for part in tensor.parts]))
            for tensor in export(weights, spec, found.hf)
        }
        config = {"architectures": [found.hf_name], **found.describe(spec)}
        folder = tmp_path / name
        write_safetensors_folder(folder, tensors, {"config.json": json.dumps(config).encode()}, largest)
        return folder

    return write


def with_experts(spec: ModelSpec) -> ModelSpec:
    from dataclasses import replace

    ffn = MoE(experts=4, selected=2, hidden=2 * spec.dim, activation="silu", renormalised=True)
    return replace(spec, blocks=tuple(replace(block, ffn=ffn) for block in spec.blocks))


def stacked(weight):
    return Stack(tuple(map(Plain, weight.array))) if len(weight.shape) == 3 else weight
