"""Experts of a new mixture: shared out evenly by the router that will be served."""

import pytest
import torch

from gadfly.ops.torch import Torch
from gadfly.spec import MoE
from gadfly.train.balance import STEP, Balance

SPEC = MoE(4, 2, 8, "gelu")


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_an_expert_that_everybody_chooses_is_chosen_less_and_none_is_forgotten() -> None:
    router, x = normal(4, 6) / 10, normal(200, 6)
    x[:, 0], router[2, 0] = 1.0, 1.0  # the third is everybody's first choice
    one, counts = Balance([router.requires_grad_()], Torch()), []
    for _ in range(400):
        one.begin()
        chosen = one.route(x, router, SPEC)
        assert torch.equal(chosen, Torch().route(x, router, SPEC))  # as it will be served
        counts.append(chosen[:, 0].long().flatten().bincount(minlength=4).tolist())
        one.end()
    assert counts[0][2] == 200 and min(counts[0]) < 40
    assert all(sum(each) == 400 for each in counts)  # no token goes without
    assert max(counts[-1]) < 115 and min(counts[-1]) > 85


def test_logits_move_by_a_step_against_the_surplus_of_all_that_was_learnt_from() -> None:
    router = torch.eye(4, 6).requires_grad_()
    one = Balance([router], Torch())
    one.begin()
    x = normal(3, 6) / 10
    x[:, 0], x[:, 1] = 9.0, 8.0  # experts 0 and 1
    before = x.mean(dim=0) @ router.detach().T
    for part in x.split(2):  # in two packs
        one.route(part, router, SPEC)
    with torch.no_grad():
        one.route(x.flip(1), router, SPEC)  # judging counts for nothing
    one.end()
    after = x.mean(dim=0) @ router.detach().T
    assert (after - before).tolist() == pytest.approx([STEP * sign for sign in (-1, -1, 1, 1)], abs=1e-5)


def test_large_logits_of_routers_cost() -> None:
    router = (3 * torch.eye(4, 6)).requires_grad_()
    one = Balance([router], Torch())
    one.begin()
    x = torch.ones(5, 6)
    one.route(x, router, SPEC)
    penalty = one.penalty()
    expected = 1e-3 * 5 * float(torch.logsumexp(x[0] @ router.detach().T, 0)) ** 2
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-5)
    penalty.backward()
    assert router.grad.diagonal().min() > 0
