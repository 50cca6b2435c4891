"""Experts of a new mixture: shared out evenly, and the same model without what shared them out."""

import pytest
import torch

from gadfly.ops.torch import Torch
from gadfly.spec import MoE
from gadfly.train.balance import FADING, STEP, Balance

SPEC = MoE(4, 2, 8, "gelu")


def balance(router: torch.Tensor) -> Balance:
    return Balance({"router": router}, Torch())


def test_an_expert_that_everybody_chooses_is_chosen_less_and_none_is_forgotten() -> None:
    generator = torch.Generator().manual_seed(1)
    router, x = torch.randn(4, 6, generator=generator) / 10, torch.randn(200, 6, generator=generator)
    x[:, 0], router[2, 0] = 1.0, 1.0  # the third is everybody's first choice
    one, counts = balance(router.requires_grad_()), []
    for _ in range(400):
        one.begin(0.0)
        chosen = one.route(x, router, SPEC)[:, 0].long()
        counts.append(chosen.flatten().bincount(minlength=4).tolist())
        one.end()
    assert counts[0][2] == 200
    assert all(sum(each) == 400 for each in counts)  # no token goes without
    assert max(counts[-1]) < 115 and min(counts[-1]) > 85


def test_the_numbers_move_by_a_step_against_the_surplus_of_all_that_was_learnt_from() -> None:
    router = torch.eye(4, 6).requires_grad_()
    one = balance(router)
    one.begin(0.0)
    x = torch.zeros(3, 6)
    x[:, 0], x[:, 1] = 9.0, 8.0  # experts 0 and 1
    one.route(x, router, SPEC)
    with torch.no_grad():
        one.route(x.flip(1), router, SPEC)  # judging counts for nothing
    one.end()
    assert one.memory["balance.router"].tolist() == pytest.approx([-STEP, -STEP, STEP, STEP])


def test_weights_of_experts_are_their_chances_and_judging_is_as_in_serving() -> None:
    router = torch.eye(4, 6).requires_grad_()
    one = balance(router)
    one.memory["balance.router"].copy_(torch.tensor([-1.0, 0.0, 0.0, 1.0]))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    one.begin(0.0)
    routing = one.route(x, router, SPEC)
    chances = (x @ router.T).softmax(-1)
    assert (routing[:, 0] == 3).any(dim=1).all() and not (routing[:, 0] == 0).any()
    torch.testing.assert_close(routing[:, 1], chances.gather(1, routing[:, 0].long()))
    one.begin(1 - FADING / 1e6)  # faded
    plain = Torch().route(x, router, SPEC)
    assert torch.equal(one.route(x, router, SPEC)[:, 0], plain[:, 0])
    with torch.no_grad():
        one.begin(0.0)
        assert torch.equal(one.route(x, router, SPEC), plain)


def test_large_logits_of_routers_cost() -> None:
    router = (3 * torch.eye(4, 6)).requires_grad_()
    one = balance(router)
    one.begin(0.0)
    x = torch.ones(5, 6)
    one.route(x, router, SPEC)
    penalty = one.penalty()
    expected = 1e-3 * 5 * float(torch.logsumexp(x[0] @ router.detach().T, 0)) ** 2
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-5)
    penalty.backward()
    assert router.grad.diagonal().min() > 0
