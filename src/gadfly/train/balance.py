"""Experts that are all used, without a loss that asks for it: the backend that new mixtures are trained on.

After each step, the logit of an expert that had too few tokens is raised a little, and that of one which had too many
is lowered: the idea of Wang et al., arXiv 2408.15664. They keep a number beside the router for that, for which Grok's
architecture has no place, and which cannot be left out in the end either: experts fall idle again within some dozens of
steps. So the router itself is moved, along the mean of what it sees, where a change means about the same to all tokens;
what is trained is what is served. No token is dropped, however uneven the choice. Beside that, a router's logits are
kept small (Zoph et al., arXiv 2202.08906).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gadfly.ops.torch import Torch, TorchWeight, routed
from gadfly.spec import MoE

__all__ = ["Balance"]

STEP = 0.03  # of a logit: a few thousandths of a chance of 1 in 8
Z_LOSS = 1e-3


class Balance(Torch):
    """Routes as it is done without this class, and counts what is learnt from."""

    def __init__(self, routers: Sequence[Tensor], backend: Torch) -> None:
        super().__init__(str(backend.device), backend.dtype)
        self._routers = {id(router): router for router in routers}
        self._used: dict[int, Tensor] = {}
        self._seen: dict[int, Tensor] = {}
        self._squares: list[Tensor] = []
        self.begin()

    def begin(self) -> None:
        """A step."""
        self._squares.clear()
        self._tokens = 0  # that all routers have seen together
        for key, router in self._routers.items():
            self._used[key] = router.new_zeros(len(router))
            self._seen[key] = torch.zeros_like(router[0])

    def route(self, x: Tensor, router: TorchWeight, spec: MoE) -> Tensor:
        logits = self.router_logits(x, router, spec)
        chosen = routed(logits.softmax(dim=-1), spec)
        if torch.is_grad_enabled():
            self._squares.append(logits.logsumexp(dim=-1).square().sum())
            self._used[id(router)] += chosen[:, 0].detach().long().flatten().bincount(minlength=spec.experts)
            self._seen[id(router)] += x.detach().sum(dim=0)
            self._tokens += len(x)
        return chosen

    def penalty(self) -> Tensor:
        """Of the tokens since it was last asked for: the mean over layers of Σ log² Σ exp(logit), times Z_LOSS."""
        total = torch.stack(self._squares).sum() / len(self._routers)
        self._squares.clear()
        return Z_LOSS * total

    def end(self) -> None:
        """The step: who had too few tokens will have more."""
        with torch.no_grad():
            for key, router in self._routers.items():
                lacking = torch.sign(self._used[key].mean() - self._used[key])
                mean = self._seen[key] * len(self._routers) / self._tokens
                along = mean / mean.square().sum().clamp(min=1e-12)  # its product with what is seen is 1 in the mean
                router += STEP * lacking[:, None] * along
