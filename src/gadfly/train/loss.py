"""Losses over a large vocabulary in little memory: logits of a few rows at a time, forward and back at once.

What is kept for the way back is the gradient of the hidden states, (rows, dim) instead of (rows, vocab), and where the
output matrix is learnt, its own.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.spec import ModelSpec

__all__ = ["divergences", "token_losses"]

CHUNK = 256  # rows


def token_losses(
    hidden: Tensor, output: Tensor, targets: Tensor, weights: Tensor, spec: ModelSpec, shares: Tensor | None = None
) -> Tensor:
    """weight · −log p(target) of every row, in nats, (rows,) float32.

    `hidden` is (rows, dim), what the last layer leaves after its norm; `output` (vocab, dim); `targets` and `weights`
    are (rows,). With `shares`, (rows, n) as `targets` are then, it is weight · −Σ share · log p(target), where the
    shares of a row sum to one. The logits are scaled and capped as the model does it. Where `output` has a gradient,
    too, it is right only if all rows count alike in what is made of them, as in their sum.
    """
    apply: Callable[..., Tensor] = _ChunkedLoss.apply
    wanted = [tensor.requires_grad and torch.is_grad_enabled() for tensor in (hidden, output)]
    if shares is None:
        targets, shares = targets[:, None], torch.ones_like(weights)[:, None]
    return apply(hidden, output, targets, shares, weights, spec.logit_scale, spec.logit_softcap, wanted)


def divergences(hidden: Tensor, before: Tensor, output: Tensor, weights: Tensor, spec: ModelSpec) -> Tensor:
    """weight · KL(before ‖ now) of what every row says of the next token, in nats, (rows,) float32.

    `hidden` and `before` are (rows, dim), what the last layer leaves after its norm, now and before; only the first has
    a gradient. `output` is (vocab, dim) and the same for both, `weights` (rows,).
    """
    apply: Callable[..., Tensor] = _ChunkedDivergence.apply
    wanted = hidden.requires_grad and torch.is_grad_enabled()
    return apply(hidden, before, output, weights, spec.logit_scale, spec.logit_softcap, wanted)


def _logits(hidden: Tensor, output: Tensor, scale: float, cap: float | None) -> tuple[Tensor, Tensor | None]:
    """Float32, and what the cap leaves of a slope."""
    logits = F.linear(hidden, output).float()
    if scale != 1:
        logits.mul_(scale)
    if cap is None:
        return logits, None
    logits = cap * torch.tanh(logits / cap)
    return logits, 1 - (logits / cap).square()


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        output: Tensor,
        targets: Tensor,
        shares: Tensor,
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
            logits, bend = _logits(hidden[rows], output, scale, cap)
            chances = logits.log_softmax(-1)
            losses[rows] = -weights[rows] * (shares[rows] * chances.gather(-1, targets[rows])).sum(-1)
            if not any(wanted):
                continue
            slope = chances.exp_()  # of the logits, from here on
            slope.scatter_add_(-1, targets[rows], -shares[rows])
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
            *(None,) * 6,
        )


class _ChunkedDivergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        before: Tensor,
        output: Tensor,
        weights: Tensor,
        scale: float,
        cap: float | None,
        wanted: bool,
    ) -> Tensor:
        divergences = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        to_hidden = torch.empty_like(hidden) if wanted else None
        for first in range(0, len(hidden), CHUNK):
            rows = slice(first, first + CHUNK)
            logits, bend = _logits(hidden[rows], output, scale, cap)
            now = logits.log_softmax(-1)
            then = _logits(before[rows], output, scale, cap)[0].log_softmax(-1)
            chances = then.exp()
            divergences[rows] = weights[rows] * (chances * then.sub_(now)).sum(-1)
            if to_hidden is None:
                continue
            slope = now.exp_().sub_(chances)  # of the logits
            if bend is not None:
                slope *= bend
            factors = (scale * weights[rows, None]).to(hidden.dtype)
            torch.mul(slope.to(hidden.dtype) @ output, factors, out=to_hidden[rows])
        ctx.save_for_backward(to_hidden)
        return divergences

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (to_hidden,) = ctx.saved_tensors
        slope = None if to_hidden is None else upstream[:, None].to(to_hidden.dtype) * to_hidden
        return slope, *(None,) * 6
