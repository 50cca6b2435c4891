"""Experts that are all used, without a loss that asks for it: the backend that new mixtures are trained on.

After each step, the logit of an expert that had too few tokens is raised a little, and that of one which had too many
is lowered: the idea of Wang et al., arXiv 2408.15664. They keep a number beside the router for that, for which Grok's
architecture has no place, and which cannot be left out in the end either: experts fall idle again within some dozens of
steps. So the router itself is moved, along the mean of what it sees, where a change means about the same to all tokens;
what is trained is what is served. No token is dropped, however uneven the choice. Beside that, a router's logits are
kept small (Zoph et al., arXiv 2202.08906).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gadfly.ops.torch import Torch, TorchWeight, routed
from gadfly.spec import MoE

__all__ = ["Balance"]

STEP = 0.03  # of a logit: a few thousandths of a chance of 1 in 8
Z_LOSS = 1e-3


def _own(tensor: Tensor, *_: Tensor) -> Tensor:
    return tensor


class Balance(Torch):
    """Routes as it is done without this class, and counts what is learnt from."""

    def __init__(self, routers: Sequence[Tensor], backend: Torch) -> None:
        super().__init__(str(backend.device), backend.dtype, backend.exchange)
        self.routers = list(routers)  # in the order in which a pass comes by
        self._squares: list[Tensor] = []
        self.begin()

    def begin(self) -> None:
        """A step."""
        self._squares.clear()
        shapes = [router.shape for router in self.routers]
        self._used = [torch.zeros(experts, device=self.device, dtype=self.dtype) for experts, _ in shapes]
        self._seen = [torch.zeros(dim, device=self.device, dtype=self.dtype) for _, dim in shapes]
        self._tokens = 0  # that all routers have seen together

    def route(self, x: Tensor, router: TorchWeight, spec: MoE) -> Tensor:
        logits = self.router_logits(x, router, spec)
        chosen = routed(logits.softmax(dim=-1), spec)
        if torch.is_grad_enabled():
            number = len(self._squares) % len(self.routers)
            self._squares.append(logits.logsumexp(dim=-1).square().sum())
            self._used[number] += chosen[:, 0].detach().long().flatten().bincount(minlength=spec.experts)
            self._seen[number] += x.detach().sum(dim=0)
            self._tokens += len(x)
        return chosen

    def penalty(self) -> Tensor:
        """Of the tokens since it was last asked for: the mean over layers of Σ log² Σ exp(logit), times Z_LOSS."""
        total = torch.stack(self._squares).sum() / len(self.routers)
        self._squares.clear()
        return Z_LOSS * total

    def end(self, total: Callable[[Tensor], Tensor] = _own, like: Callable[[Tensor, Tensor], Tensor] = _own) -> None:
        """The step: who had too few tokens will have more. For `total` and `like` see `Training`."""
        with torch.no_grad():
            tokens = int(total(torch.tensor(self._tokens)))
            for router, used, seen in zip(self.routers, self._used, self._seen, strict=True):
                used, seen = total(used), total(seen)
                lacking = torch.sign(used.mean() - used)
                mean = seen * len(self.routers) / tokens
                along = mean / mean.square().sum().clamp(min=1e-12)  # its product with what is seen is 1 in the mean
                router += like(STEP * lacking[:, None] * along, router)
