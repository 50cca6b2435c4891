"""Adapters beside the weights that they belong to: none is merged, each step says how strong it is for which token."""

from collections.abc import Sequence
from typing import Any, TypeVar

from gadfly.errors import UnsupportedError
from gadfly.ops import Backend
from gadfly.spec import Dense, ModelSpec, MoE
from gadfly.weight import Delta, Weights
from gadfly.weights.low_rank import Adapter

__all__ = ["adapted", "is_adaptable"]

W = TypeVar("W")


def adapted(
    spec: ModelSpec, weights: Weights[W], adapters: Sequence[Adapter], backend: Backend[Any, W, Any]
) -> Weights[W]:
    """Placed weights with adapters 0, 1, … of a `Batch`.

    Raises UnsupportedError where an adapter belongs to what is not adaptable, or not on this backend.
    """
    by_path = {path: weights[path] for path in weights}
    deltas: dict[str, list[Delta[Any]]] = {}
    for number, adapter in enumerate(adapters):
        for path, pair in adapter.pairs.items():
            if not is_adaptable(spec, path):
                raise UnsupportedError(
                    f"the adapter changes {path}, which is not done beside the model; merge both with gadfly convert"
                )
            deltas.setdefault(path, []).append(Delta(number, pair.down, pair.up, adapter.scale))
    for path, found in deltas.items():
        by_path[path] = backend.adapt(weights[path], found)
    return Weights(by_path)


def is_adaptable(spec: ModelSpec, path: str) -> bool:
    """Whether tokens are multiplied with it, or with those of its experts that they go to, and nothing else is done."""
    match path.split("."):
        case ["output"]:
            return True
        case ["blocks", _, "mixer", "query" | "key" | "value" | "output"]:
            return True
        case ["blocks", layer, "ffn", "gate" | "up" | "down"]:
            return isinstance(spec.blocks[int(layer)].ffn, Dense | MoE)
        case ["blocks", _, "ffn", "dense" | "moe", "gate" | "up" | "down"]:
            return True
    return False
