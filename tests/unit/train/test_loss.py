"""The loss in pieces against the plain one, forward and back."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from gadfly.testing import tiny_spec
from gadfly.train import loss
from gadfly.train.loss import divergences, token_losses


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.5, None), (2.0, 3.0)])
@pytest.mark.parametrize("chunk", [7, 256])
def test_the_loss_in_pieces_is_the_plain_one(
    scale: float, cap: float | None, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", chunk)
    spec = tiny_spec(vocab=50).__class__(**{**vars(tiny_spec(vocab=50)), "logit_scale": scale, "logit_softcap": cap})
    generator = torch.Generator().manual_seed(1)
    hidden, output = torch.randn(20, 64, generator=generator), torch.randn(50, 64, generator=generator)
    targets, weights = torch.randint(0, 50, (20,), generator=generator), torch.rand(20, generator=generator)

    def plain(hidden, output):
        logits = F.linear(hidden, output) * scale
        logits = logits if cap is None else cap * torch.tanh(logits / cap)
        return F.cross_entropy(logits, targets, reduction="none") * weights

    for what in (plain, lambda h, o: token_losses(h, o, targets, weights, spec)):
        leaves = [leaf.clone().requires_grad_() for leaf in (hidden, output)]
        losses = what(*leaves)
        (3 * losses.sum()).backward()
        found = [losses.detach(), *(leaf.grad for leaf in leaves)]
        if what is plain:
            expected = found
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_row_may_have_several_targets() -> None:
    generator = torch.Generator().manual_seed(1)
    hidden, output = torch.randn(20, 64, generator=generator), torch.randn(50, 64, generator=generator)
    targets = torch.randint(0, 50, (20, 3), generator=generator)
    targets[:, 2] = targets[:, 0]  # one twice
    shares = torch.rand(20, 3, generator=generator)
    shares /= shares.sum(-1, keepdim=True)
    wanted = torch.zeros(20, 50).scatter_add_(-1, targets, shares)
    weights, found = torch.rand(20, generator=generator), []
    for what in (
        lambda h, o: F.cross_entropy(F.linear(h, o), wanted, reduction="none") * weights,
        lambda h, o: token_losses(h, o, targets, weights, tiny_spec(vocab=50), shares),
    ):
        leaves = [leaf.clone().requires_grad_() for leaf in (hidden, output)]
        losses = what(*leaves)
        losses.sum().backward()
        found.append([losses.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_rows_may_count_differently_where_the_output_stays() -> None:
    generator = torch.Generator().manual_seed(1)
    output, targets = torch.randn(50, 64, generator=generator), torch.arange(20)
    first, second = (torch.ones(20, 64).mul(torch.arange(20)[:, None] / 20).requires_grad_() for _ in range(2))
    counts = torch.arange(20.0)
    (token_losses(first, output, targets, torch.ones(20), tiny_spec(vocab=50)) * counts).sum().backward()
    (F.cross_entropy(F.linear(second, output), targets, reduction="none") * counts).sum().backward()
    torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.5, None), (2.0, 3.0)])
@pytest.mark.parametrize("chunk", [7, 256])
def test_the_divergence_in_pieces_is_the_plain_one(
    scale: float, cap: float | None, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", chunk)
    spec = replace(tiny_spec(vocab=50), logit_scale=scale, logit_softcap=cap)
    generator = torch.Generator().manual_seed(1)
    hidden, before = (torch.randn(20, 64, generator=generator) for _ in range(2))
    output, weights = torch.randn(50, 64, generator=generator), torch.rand(20, generator=generator)

    def plain(hidden):
        now, then = (F.linear(one, output) * scale for one in (hidden, before))
        now, then = (one if cap is None else cap * torch.tanh(one / cap) for one in (now, then))
        each = F.kl_div(now.log_softmax(-1), then.log_softmax(-1), reduction="none", log_target=True)
        return each.sum(-1) * weights

    counts, found = torch.arange(20.0), []
    for what in (plain, lambda one: divergences(one, before, output, weights, spec)):
        leaf = hidden.clone().requires_grad_()
        each = what(leaf)
        (each * counts).sum().backward()
        found.append((each.detach(), leaf.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert not divergences(before, before, output, weights, spec).any()
