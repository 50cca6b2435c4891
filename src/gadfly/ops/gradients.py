"""Steps of a forward pass in PyTorch whose way back is written by hand: the same numbers, with less kept and less done.

Frozen matrices get no gradient, what is cheap to compute again is not kept, and elementwise work goes over stretches of
rows that stay in the processor's cache. Each is held to what PyTorch makes of the plain formula: tests/unit/ops.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.spec import Activation

__all__ = ["activated", "gated", "low_rank", "rms_norm", "turned"]

STRETCH = 2**16  # numbers of each tensor: with their neighbours they fit a cache of a megabyte


def low_rank(x: Tensor, base: Tensor, down: Tensor, up: Tensor, factors: Tensor) -> Tensor:
    """x baseᵀ + factors · (x downᵀ) upᵀ: (rows, out). `factors` are (rows, 1)."""
    apply: Callable[..., Tensor] = _LowRank.apply
    return apply(x, base, down, up, factors)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """weight · x / sqrt(mean(x²) + eps) over the last axis of (rows, width)."""
    apply: Callable[..., Tensor] = _RmsNorm.apply
    return apply(x, weight, eps)


def turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Component j of heads (tokens, heads, head_dim) is turned against component j + n, by angles (tokens, 1, n)."""
    apply: Callable[..., Tensor] = _Turned.apply
    return apply(heads, cos, sin)


def gated(gate: Tensor, up: Tensor, activation: Activation) -> Tensor:
    """activation(gate) · up, of (rows, width)."""
    apply: Callable[..., Tensor] = _Gated.apply
    return apply(gate, up, activation)


def activated(x: Tensor, activation: Activation) -> Tensor:
    match activation:
        case "silu":
            return F.silu(x)
        case "gelu":
            return F.gelu(x, approximate="tanh")
        case "gelu_erf":
            return F.gelu(x)


class _LowRank(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, base: Tensor, down: Tensor, up: Tensor, factors: Tensor) -> Tensor:
        within = F.linear(x, down).mul_(factors)  # (rows, rank)
        ctx.save_for_backward(x, base, down, up, factors, within)
        return F.linear(x, base).addmm_(within, up.T)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = upstream
        x, base, down, up, factors, within = ctx.saved_tensors
        to_within = (slope @ up).mul_(factors)
        to_x, to_base, *_ = ctx.needs_input_grad
        return (
            (slope @ base).addmm_(to_within, down) if to_x else None,
            slope.T @ x if to_base else None,
            to_within.T @ x,
            (within.T @ slope).T,  # a product with few rows is faster than one with few columns
            None,
        )


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = (length.square_().div_(x.shape[-1])).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        out = torch.empty_like(x)
        for rows in _stretches(x):
            torch.mul(x[rows], inverse[rows], out=out[rows]).mul_(weight)
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = upstream
        x, weight, inverse = ctx.saved_tensors
        to_x = torch.empty_like(x)
        to_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for rows in _stretches(x):
            if to_weight is not None:
                to_weight += (slope[rows] * x[rows] * inverse[rows]).sum(0)
            part = torch.mul(slope[rows], weight, out=to_x[rows])
            along = (part * x[rows]).mean(-1, keepdim=True)
            part.addcmul_(x[rows], along * inverse[rows].square(), value=-1).mul_(inverse[rows])
        return to_x, to_weight, None


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(heads, cos, sin)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turn(upstream[0], cos, -sin), None, None


def _turn(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = cos.shape[-1]
    out = torch.empty_like(heads)
    low, high = heads[..., :half], heads[..., half : 2 * half]
    torch.mul(low, cos, out=out[..., :half]).addcmul_(high, sin, value=-1)
    torch.mul(high, cos, out=out[..., half : 2 * half]).addcmul_(low, sin)
    out[..., 2 * half :] = heads[..., 2 * half :]
    return out


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, activation: Activation) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        out = torch.empty_like(gate)
        for rows in _stretches(gate):
            torch.mul(activated(gate[rows], activation), up[rows], out=out[rows])
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = upstream
        gate, up = ctx.saved_tensors
        to_gate, to_up = torch.empty_like(gate), torch.empty_like(up)
        for rows in _stretches(gate):
            torch.mul(slope[rows], activated(gate[rows], ctx.activation), out=to_up[rows])
            to_gate[rows] = _inactivated(slope[rows] * up[rows], gate[rows], ctx.activation)
        return to_gate, to_up, None


def _inactivated(slope: Tensor, x: Tensor, activation: Activation) -> Tensor:
    known: Any = torch.ops.aten
    back: Tensor
    match activation:
        case "silu":
            back = known.silu_backward(slope, x)
        case "gelu":
            back = known.gelu_backward(slope, x, approximate="tanh")
        case "gelu_erf":
            back = known.gelu_backward(slope, x)
    return back


def _stretches(x: Tensor) -> Iterator[slice]:
    """Of rows; a graphics card takes them all at once."""
    size = max(1, STRETCH // max(1, x.shape[-1])) if x.device.type == "cpu" else max(1, len(x))
    return (slice(first, first + size) for first in range(0, len(x), size))
