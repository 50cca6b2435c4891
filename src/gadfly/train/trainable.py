"""A model as it is trained: its weights, and which numbers among them are learnt.

Either those of an adapter beside weights that stay, or the weights themselves. Routers of mixtures learn only with a
model that is new: what experts of a finished one are for is settled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from gadfly.ops.torch import Torch, TorchWeight
from gadfly.spec import ModelSpec
from gadfly.train.balance import Balance
from gadfly.train.lora import LoraConfig, adapted, first_adapted, fresh_factors
from gadfly.train.lower import LowerLayers
from gadfly.weight import Weights

__all__ = ["Trainable", "all_of", "with_adapter"]


@dataclass(frozen=True, eq=False)
class Trainable:
    """`parameters` are learnt, by the names they have in checkpoints; `base` is what `weights` began as, if kept.

    `balance` shares tokens out among the experts of a model whose routers are learnt, `lower` are the layers below all
    that is learnt.
    """

    spec: ModelSpec
    weights: Weights[TorchWeight]
    parameters: Mapping[str, Tensor]
    backend: Torch
    base: Weights[TorchWeight] | None = None
    balance: Balance | None = None
    lower: LowerLayers | None = None


def with_adapter(spec: ModelSpec, weights: Weights[Tensor], config: LoraConfig, seed: int, backend: Torch) -> Trainable:
    """An adapter, float32: `<path>.down` and `<path>.up` are learnt."""
    factors = fresh_factors(spec, config, seed)
    parameters = {
        f"{path}.{name}": tensor
        for path, one in factors.items()
        for name, tensor in (("down", one.down), ("up", one.up))
    }
    base, first = _tree(weights), first_adapted(spec, config)
    lower = LowerLayers(spec, base, backend, first) if first else None
    return Trainable(spec, adapted(weights, factors, config.scale), parameters, backend, base, lower=lower)


def all_of(spec: ModelSpec, weights: Weights[Tensor], backend: Torch, new: bool = False) -> Trainable:
    """Every weight, under its first path, but for the routers of a model that is not `new`."""
    parameters: dict[str, Tensor] = {}
    routers: list[Tensor] = []
    for path in weights:
        router = path.endswith("router")
        if router and new:
            routers.append(weights[path])
        if (new or not router) and all(weights[path] is not known for known in parameters.values()):
            parameters[path] = weights[path].requires_grad_()
    balance = Balance(routers, backend) if routers else None
    return Trainable(spec, _tree(weights), parameters, balance or backend, balance=balance)


def _tree(weights: Weights[Tensor]) -> Weights[TorchWeight]:
    return Weights({path: weights[path] for path in weights})
