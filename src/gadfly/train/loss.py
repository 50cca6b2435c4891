"""Cross entropy over a large vocabulary in little memory: logits of a few rows at a time, forward and backward at once.

The output matrix is not trained, so the gradient of the hidden states is all that has to be kept: (rows, dim) instead
of (rows, vocab).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.spec import ModelSpec

__all__ = ["summed_loss"]

CHUNK = 256  # rows


def summed_loss(hidden: Tensor, output: Tensor, targets: Tensor, weights: Tensor, spec: ModelSpec) -> Tensor:
    """Σ weight · −log p(target), in nats, a float32 scalar.

    `hidden` is (rows, dim), what the last layer leaves after its norm; `output` (vocab, dim); `targets` and `weights`
    are (rows,). The logits are scaled and capped as the model does it.
    """
    apply: Callable[..., Tensor] = _ChunkedLoss.apply
    return apply(hidden, output, targets, weights, spec.logit_scale, spec.logit_softcap)


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, output: Tensor, targets: Tensor, weights: Tensor, scale: float, cap: float | None
    ) -> Tensor:
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wanted = ctx.needs_input_grad[0]
        for first in range(0, len(hidden), CHUNK):
            rows = slice(first, first + CHUNK)
            with torch.set_grad_enabled(wanted):
                part = hidden[rows].detach().requires_grad_(wanted)
                logits = F.linear(part, output).float() * scale
                if cap is not None:
                    logits = cap * torch.tanh(logits / cap)
                loss = (F.cross_entropy(logits, targets[rows], reduction="none") * weights[rows]).sum()
                if wanted:
                    (gradient[rows],) = torch.autograd.grad(loss, part)
            total += loss.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None, None, None, None
