"""A mixture of characters: a dense model and several adapters as one model with an expert for each of them.

    feed-forward    one expert per adapter, which is in its weights; all else is the base's
    router          tells from a token whose turn it is: see `gadfly.convert.router`
    attention …     there is one for all experts, with the mean of what the adapters change there

The weights of a token's experts sum to one, so where all experts are alike the mixture is the dense model. What comes
out has the architecture that others know as the base's with experts, and nothing in it says how it was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gadfly.arch import MIXTURES, Page
from gadfly.arch.describe import describe_gguf
from gadfly.errors import RequestError, UnsupportedError
from gadfly.ops import Floats
from gadfly.spec import Dense, ModelSpec, MoE
from gadfly.weight import Matrix, Plain, Stack, Weight, Weights
from gadfly.weights.adapter import Adapter, merged
from gadfly.weights.adapter_sum import summed
from gadfly.weights.load import ModelFile

__all__ = ["mixable", "mixture", "shares_attention"]

FEED_FORWARD = ("gate", "up", "down")


def mixable(model: ModelFile, adapters: Mapping[str, Adapter]) -> None:
    """Raises UnsupportedError for a base that has no architecture with experts, RequestError for adapters, by name, of
    which no mixture can be made."""
    if model.page.name not in MIXTURES or not all(isinstance(block.ffn, Dense) for block in model.spec.blocks):
        raise UnsupportedError(
            f"{model.path.name} is a {model.page.name}; mixtures are made of dense models of {', '.join(MIXTURES)}"
        )
    for name, adapter in adapters.items():
        if not any(map(_is_fed, adapter.pairs)):
            raise RequestError(
                f"{name} changes attention alone, of which a mixture has one for all its characters; train it with "
                'parts = "feed-forward" in [lora]'
            )


def shares_attention(adapters: Sequence[Adapter]) -> bool:
    """Whether they change what experts have in common, so that a mixture has their mean there."""
    return any(not _is_fed(path) for adapter in adapters for path in adapter.pairs)


def mixture(
    model: ModelFile, adapters: Sequence[tuple[Adapter, float]], routers: Sequence[Floats], selected: int
) -> ModelFile:
    """Of a `mixable` base, adapters and how strong each is; of each layer a router (adapters, dim). Nothing is computed
    until it is read."""
    page, spec = MIXTURES[model.page.name], _with_experts(model.spec, len(adapters), selected)
    parts = [(_part(one, fed=False), strength / len(adapters)) for one, strength in adapters]
    shared = merged(model, summed([(one, strength) for one, strength in parts if one.pairs]))
    experts = [merged(model, summed([(_part(one, fed=True), strength)])).weights for one, strength in adapters]
    weights: dict[str, Weight] = {path: shared.weights[path] for path in shared.weights if not _is_fed(path)}
    for layer, router in enumerate(routers):
        weights[f"blocks.{layer}.ffn.router"] = Plain(router)
        for name in FEED_FORWARD:
            path = f"blocks.{layer}.ffn.{name}"
            weights[path] = Stack(tuple(_matrix(one[path]) for one in experts))
    return replace(model, page=page, spec=spec, weights=Weights(weights), metadata=_metadata(model, page, spec))


def _is_fed(path: str) -> bool:
    return ".ffn." in path


def _part(adapter: Adapter, fed: bool) -> Adapter:
    """What it changes in feed-forwards, or all else."""
    return replace(adapter, pairs={path: pair for path, pair in adapter.pairs.items() if _is_fed(path) == fed})


def _with_experts(spec: ModelSpec, experts: int, selected: int) -> ModelSpec:
    blocks = []
    for block in spec.blocks:
        assert isinstance(block.ffn, Dense)
        moe = MoE(experts, selected, block.ffn.hidden, block.ffn.activation, renormalised=True)
        blocks.append(replace(block, ffn=moe))
    return replace(spec, blocks=tuple(blocks))


def _matrix(weight: Weight) -> Matrix:
    assert not isinstance(weight, Stack)
    return weight


def _metadata(model: ModelFile, page: Page, spec: ModelSpec) -> Mapping[str, Any]:
    """A GGUF file's hyperparameters are those of the mixture."""
    if "general.architecture" not in model.metadata:
        return model.metadata
    old = (f"{model.page.gguf_name}.", "general.size_label")
    kept = {key: model.metadata[key] for key in model.metadata if not key.startswith(old)}
    return {**kept, "general.architecture": page.gguf_name, **describe_gguf(page, spec)}
