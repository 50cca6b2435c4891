"""Ways back that are written by hand, in float64 against finite differences and against what PyTorch makes itself."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.ops import gradients

torch.set_num_threads(1)


def some(*shape: int, learnt: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(learnt)


def plain_low_rank(x: Tensor, base: Tensor, down: Tensor, up: Tensor, factors: Tensor) -> Tensor:
    return x @ base.T + factors * (x @ down.T) @ up.T


def plain_norm(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def plain_turn(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high, rest = heads.split([2, 2, 1], dim=-1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin, rest], dim=-1)


ANGLES = some(7, 1, 2, learnt=False)
CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "low rank": (
        gradients.low_rank,
        plain_low_rank,
        (some(7, 6), some(5, 6, learnt=False), some(2, 6), some(5, 2), some(7, 1, learnt=False)),
    ),
    "low rank, all learnt": (
        gradients.low_rank,
        plain_low_rank,
        (some(7, 6), some(5, 6), some(2, 6), some(5, 2), some(7, 1, learnt=False)),
    ),
    "low rank of what is not learnt": (
        gradients.low_rank,
        plain_low_rank,
        (some(7, 6, learnt=False), some(5, 6, learnt=False), some(2, 6), some(5, 2), some(7, 1, learnt=False)),
    ),
    "norm": (lambda *x: gradients.rms_norm(*x, 1e-5), plain_norm, (some(7, 6), some(6, learnt=False))),
    "norm, weight learnt": (lambda *x: gradients.rms_norm(*x, 1e-5), plain_norm, (some(7, 6), some(6))),
    "turned": (gradients.turned, plain_turn, (some(7, 3, 5), ANGLES.cos(), ANGLES.sin())),
    "silu": (lambda *x: gradients.gated(*x, "silu"), lambda a, b: F.silu(a) * b, (some(7, 6), some(7, 6) + 1)),
    "gelu": (
        lambda *x: gradients.gated(*x, "gelu"),
        lambda a, b: F.gelu(a, approximate="tanh") * b,
        (some(7, 6), some(7, 6) + 1),
    ),
    "gelu_erf": (lambda *x: gradients.gated(*x, "gelu_erf"), lambda a, b: F.gelu(a) * b, (some(7, 6), some(7, 6) + 1)),
}


@pytest.mark.parametrize("stretch", [1, 2**16])
@pytest.mark.parametrize("name", CASES)
def test_the_way_back_is_right(name: str, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "STRETCH", stretch)  # 1: row by row
    fast, plain, given = CASES[name]
    learnt = [x for x in given if x.requires_grad]
    found, expected = fast(*given), plain(*given)
    torch.testing.assert_close(found, expected)
    upstream = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, learnt, upstream), torch.autograd.grad(expected, learnt, upstream)
    )
    assert torch.autograd.gradcheck(fast, given)
