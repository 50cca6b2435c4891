"""Cross entropy over a large vocabulary in little memory: logits of a few rows at a time, forward and back at once.

What is kept for the way back is the gradient of the hidden states, (rows, dim) instead of (rows, vocab), and where the
output matrix is learnt, its own.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.spec import ModelSpec

__all__ = ["token_losses"]

CHUNK = 256  # rows


def token_losses(hidden: Tensor, output: Tensor, targets: Tensor, weights: Tensor, spec: ModelSpec) -> Tensor:
    """weight · −log p(target) of every row, in nats, (rows,) float32.

    `hidden` is (rows, dim), what the last layer leaves after its norm; `output` (vocab, dim); `targets` and `weights`
    are (rows,). The logits are scaled and capped as the model does it. Where `output` has a gradient, too, it is right
    only if all rows count alike in what is made of them, as in their sum.
    """
    apply: Callable[..., Tensor] = _ChunkedLoss.apply
    wanted = [tensor.requires_grad and torch.is_grad_enabled() for tensor in (hidden, output)]
    return apply(hidden, output, targets, weights, spec.logit_scale, spec.logit_softcap, wanted)


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        output: Tensor,
        targets: Tensor,
        weights: Tensor,
        scale: float,
        cap: float | None,
        wanted: tuple[bool, bool],
    ) -> Tensor:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        to_hidden = torch.empty_like(hidden) if wanted[0] else None
        to_output = torch.zeros_like(output) if wanted[1] else None
        for first in range(0, len(hidden), CHUNK):
            rows = slice(first, first + CHUNK)
            logits = F.linear(hidden[rows], output).float()
            if scale != 1:
                logits.mul_(scale)
            if cap is not None:
                logits = cap * torch.tanh(logits / cap)
            bend = None if cap is None else 1 - (logits / cap).square()  # what the cap leaves of a slope
            chances = logits.log_softmax(-1)
            losses[rows] = -weights[rows] * chances.gather(-1, targets[rows, None])[:, 0]
            if not any(wanted):
                continue
            slope = chances.exp_()  # of the logits, from here on
            slope[torch.arange(len(slope), device=slope.device), targets[rows]] -= 1
            if bend is not None:
                slope *= bend
            slope, factors = slope.to(hidden.dtype), (scale * weights[rows, None]).to(hidden.dtype)
            if to_hidden is not None:
                torch.mul(slope @ output, factors, out=to_hidden[rows])  # rows of hidden states are shorter than logits
            if to_output is not None:
                to_output.addmm_(slope.T, hidden[rows] * factors)
        ctx.save_for_backward(to_hidden, to_output)
        return losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_output = ctx.saved_tensors
        return (
            None if to_hidden is None else upstream[:, None].to(to_hidden.dtype) * to_hidden,
            None if to_output is None else upstream[0] * to_output,
            *(None,) * 5,
        )
