"""What a teacher found likely teaches more than what it said: the point of keeping it."""

from dataclasses import replace

import numpy as np
import torch

from gadfly.batch import Batch, Span
from gadfly.model.transformer import forward
from gadfly.ops.torch import Torch
from gadfly.spec import ModelSpec
from gadfly.testing import random_weights, tiny_spec
from gadfly.train.data.alphabet import Alternatives
from gadfly.train.data.sample import Sample
from gadfly.train.objective import Supervised
from gadfly.train.packing import pack
from gadfly.train.plan import Plan
from gadfly.train.trainable import all_of
from gadfly.train.training import Training
from gadfly.weight import Weights

SPEC = replace(tiny_spec(vocab=64, dim=32), logit_scale=2.0)
LENGTH, NEAREST = 24, 20
BACKEND = Torch()


def said(spec: ModelSpec, weights: Weights, texts: np.ndarray) -> torch.Tensor:
    """Log-probabilities of every next token: (texts, tokens, vocab)."""
    batch = Batch.of([Span(text.tolist(), 0, (), range(len(text))) for text in texts])
    with torch.no_grad():
        return forward(spec, weights, batch, BACKEND, None).log_softmax(-1).view(*texts.shape, -1)


def spoken(teacher: Weights, count: int, seed: int) -> np.ndarray:
    """Texts that the teacher says, drawn token by token."""
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(0, SPEC.vocab, (count, 1), generator=generator)
    for _ in range(LENGTH - 1):
        last = said(SPEC, teacher, texts.numpy().astype(np.int32))[:, -1]
        texts = torch.cat([texts, torch.multinomial(last.exp(), 1, generator=generator)], 1)
    return texts.numpy().astype(np.int32)


def lessons(teacher: Weights, texts: np.ndarray, likely: bool) -> list[Sample]:
    chances, ids = said(SPEC, teacher, texts).exp().topk(NEAREST, dim=-1)
    samples = []
    for text, share, others in zip(texts, chances.numpy(), ids.numpy(), strict=True):
        known = Alternatives.none(LENGTH)
        known.ids[1:], known.shares[1:] = others[:-1], (share / share.sum(-1, keepdims=True))[:-1]
        samples.append(Sample(text, np.arange(LENGTH) > 0, alternatives=known if likely else None))
    return samples


def divergence(likely: bool) -> float:
    """KL(teacher ‖ pupil) on texts that are new to it, in nats per token."""
    teacher, begun = (random_weights(SPEC, seed).map(BACKEND.place) for seed in (1, 2))
    taught, unseen = spoken(teacher, 48, 3), spoken(teacher, 16, 4)
    pupil = all_of(SPEC, begun, BACKEND, new=True)
    plan = Plan(epochs=10, batch=8, learning_rate=0.01, pack_tokens=400)
    run = Training(pupil, Supervised(lessons(teacher, taught, likely)), plan)
    while run.step < run.steps:
        run.advance()
    before, now = said(SPEC, teacher, unseen), said(SPEC, pupil.weights, unseen)
    return float((before.exp() * (before - now)).sum(-1).mean())


def test_the_likely_teach_more_than_the_text() -> None:
    assert divergence(likely=True) < 0.7 * divergence(likely=False)


def test_a_share_of_one_is_a_text() -> None:
    """Beside samples that know no others, and in one pack with some that do."""
    teacher = random_weights(SPEC, 1).map(BACKEND.place)
    texts = spoken(teacher, 4, 3)
    plain = lessons(teacher, texts, likely=False)
    sure = []
    for one in plain:
        known = Alternatives.none(LENGTH)
        known.ids[:, 3], known.shares[:, 3] = one.ids, 1.0
        sure.append(replace(one, alternatives=known))
    none = [replace(one, alternatives=Alternatives.none(LENGTH)) for one in plain]

    def loss(samples: list[Sample]) -> float:
        run = Training(
            all_of(SPEC, random_weights(SPEC, 2).map(BACKEND.place), BACKEND), Supervised(samples), Plan(epochs=1)
        )
        return run.advance().judged.loss

    expected = loss(plain)
    for samples in (sure, none, [plain[0], sure[1], none[2], plain[3]]):
        np.testing.assert_allclose(loss(samples), expected, rtol=1e-6)
    assert pack([(one,) for one in plain], [0, 1]).shares is None
    assert pack([(plain[0],), (sure[1],)], [0, 1]).shares.sum(axis=1).min() == 1
