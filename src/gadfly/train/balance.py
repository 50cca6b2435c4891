"""Experts that are all used, without a loss that asks for it: the backend that new mixtures are trained on.

A number per expert is added to its chance when experts are chosen, and only then; after each step it goes up a little
where an expert had too few tokens, and down where it had too many (Wang et al., arXiv 2408.15664). No token is
dropped, however uneven the choice. The architectures have no place for such numbers, so they fade to nothing towards
the end of a run, and the model learns to do without. Beside that, a router's logits are kept small (Zoph et al., arXiv
2202.08906).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gadfly.ops.torch import Torch, TorchWeight, routed
from gadfly.spec import MoE

__all__ = ["Balance"]

STEP = 1e-3  # that the number of an expert moves by, where chances are from 0 to 1
Z_LOSS = 1e-3
FADING = 0.2  # of a run


class Balance(Torch):
    """`routers` by path. What `memory` holds changes after each step, and has to be kept with the weights."""

    def __init__(self, routers: Mapping[str, Tensor], backend: Torch) -> None:
        super().__init__(str(backend.device), backend.dtype)
        self.memory = {f"balance.{path}": torch.zeros(len(router)) for path, router in routers.items()}
        self._biases = dict(zip(map(id, routers.values()), self.memory.values(), strict=True))
        self._used = {router: torch.zeros_like(bias) for router, bias in self._biases.items()}
        self._strength = 1.0
        self._squares: list[Tensor] = []

    def begin(self, done: float) -> None:
        """A step, when a fraction `done` of the run lies behind."""
        self._strength = min(1.0, (1 - done) / FADING)
        self._squares.clear()
        for used in self._used.values():
            used.zero_()

    def route(self, x: Tensor, router: TorchWeight, spec: MoE) -> Tensor:
        """Counts and shares out what is learnt from; where nothing is, routes as it is done without this class."""
        if not torch.is_grad_enabled():
            return super().route(x, router, spec)
        logits = self.router_logits(x, router, spec)
        self._squares.append(logits.logsumexp(dim=-1).square().sum())
        chances = logits.softmax(dim=-1)
        bias = self._strength * self._biases[id(router)].to(chances.device)
        chosen = routed(chances, chances.detach() + bias, spec)
        self._used[id(router)] += chosen[:, 0].detach().long().flatten().bincount(minlength=spec.experts).cpu()
        return chosen

    def penalty(self) -> Tensor:
        """Of the tokens since it was last asked for: the mean over layers of Σ log² Σ exp(logit), times Z_LOSS."""
        total = torch.stack(self._squares).sum() / len(self._biases)
        self._squares.clear()
        return Z_LOSS * total

    def end(self) -> None:
        """The step: who had too few tokens will have more."""
        for router, used in self._used.items():
            self._biases[router] += STEP * torch.sign(used.mean() - used)
