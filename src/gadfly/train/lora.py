"""Low-rank adapters (Hu et al., arXiv 2106.09685): small matrices that are learnt beside large ones that are not.

An adapter belongs to a path of the weight tree; nothing here knows an architecture. A mixture is adapted in its
attention, or, if that is asked for, in its experts, each of which has factors of its own; its router stays as it is.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gadfly.errors import RequestError
from gadfly.ops.torch import TorchWeight
from gadfly.spec import Dense, FeedForward, ModelSpec, Parallel
from gadfly.weight import Delta, LowRank, Weights

__all__ = ["Factors", "LoraConfig", "adapted", "adapted_paths", "first_adapted", "fresh_factors"]

ATTENTION = ("mixer.query", "mixer.key", "mixer.value", "mixer.output")
FEED_FORWARD = ("gate", "up", "down")
PARTS = ("all", "attention", "feed-forward")


@dataclass(frozen=True)
class LoraConfig:
    """`top_layers` None: all of them. The product of the factors counts `alpha` / `rank` times.

    `parts` is one of PARTS: what is adapted of each layer. "all" leaves out experts, whose adapters have no dial where
    they are served natively.
    """

    rank: int = 16
    alpha: float = 32.0
    top_layers: int | None = None
    parts: str = "all"

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 1024:
            raise RequestError(f"the rank is {self.rank}; choose from 1 to 1024")
        if not 0 < self.alpha <= 1e4:
            raise RequestError(f"alpha is {self.alpha}; choose a number above 0 and up to 10000")
        if self.top_layers is not None and self.top_layers < 1:
            raise RequestError(f"top_layers is {self.top_layers}; at least one layer has to be adapted")
        if self.parts not in PARTS:
            raise RequestError(f"parts is {self.parts!r:.40}; there are {', '.join(PARTS)}")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True, eq=False)
class Factors:
    """`down` is (rank, in), `up` (out, rank); of a stack they are stacks, too."""

    down: Tensor
    up: Tensor


def first_adapted(spec: ModelSpec, config: LoraConfig) -> int:
    """The number of a layer; those below it stay as they are."""
    return max(0, len(spec.blocks) - (config.top_layers or len(spec.blocks)))


def adapted_paths(spec: ModelSpec, config: LoraConfig) -> Iterator[str]:
    """Every matrix that gets an adapter, from the first adapted layer up."""
    for layer in range(first_adapted(spec, config), len(spec.blocks)):
        ffn = spec.blocks[layer].ffn
        names: tuple[str, ...] = ATTENTION if config.parts != "feed-forward" else ()
        if config.parts == "feed-forward" or (config.parts == "all" and isinstance(ffn, Dense)):
            names += tuple(f"ffn.{where}{name}" for where in _places(ffn) for name in FEED_FORWARD)
        for name in names:
            yield f"blocks.{layer}.{name}"


def _places(ffn: FeedForward) -> tuple[str, ...]:
    return ("dense.", "moe.") if isinstance(ffn, Parallel) else ("",)


def fresh_factors(spec: ModelSpec, config: LoraConfig, seed: int) -> dict[str, Factors]:
    """As PEFT begins: `down` uniform within ±1/√in, `up` zero, so that nothing changes at first. Float32."""
    shapes = dict(spec.shapes())
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for path in adapted_paths(spec, config):
        *stack, rows, columns = shapes[path]
        down = (2 * torch.rand(*stack, config.rank, columns, generator=generator) - 1) / math.sqrt(columns)
        made[path] = Factors(down.requires_grad_(), torch.zeros(*stack, rows, config.rank, requires_grad=True))
    return made


def adapted(weights: Weights[Tensor], factors: Mapping[str, Factors], scale: float) -> Weights[TorchWeight]:
    """The same tree, where adapted matrices are sums; the adapter is the only one, so its number is 0."""
    by_path: dict[str, TorchWeight] = {path: weights[path] for path in weights}
    for path, one in factors.items():
        by_path[path] = LowRank(weights[path], (Delta(0, one.down, one.up, scale),))
    return Weights(by_path)
