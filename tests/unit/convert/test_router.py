"""A router sends to a character what resembles its prompts, and nothing by default."""

from pathlib import Path

import numpy as np
import pytest

from gadfly.arch import PAGES
from gadfly.convert import observe, router
from gadfly.convert.router import mean_inputs, routers
from gadfly.errors import RequestError
from gadfly.ops.reference import Reference
from gadfly.testing import random_weights, tiny_spec
from gadfly.weights.load import ModelFile


class Watching(Reference):
    """Notes what enters the gates, which come before everything else that is as wide."""

    def __init__(self, gates) -> None:
        self.gates, self.seen = gates, {}

    def project(self, x, weight, batch):
        for layer, gate in enumerate(self.gates):
            if weight is gate:
                self.seen.setdefault(layer, []).extend(x)
        return super().project(x, weight, batch)


def test_means_are_those_of_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    from gadfly.batch import Batch, Span
    from gadfly.model.transformer import forward

    spec = tiny_spec()
    weights = random_weights(spec, 1)
    chunks = [[5, 6, 7], list(range(40)), [9] * 11]
    placed = weights.map(Reference().place)
    ops = Watching([placed[f"blocks.{layer}.ffn.gate"] for layer in range(2)])
    for chunk in chunks:
        kv = ops.cache(spec, 4, 16)
        forward(spec, placed, Batch.of([Span(chunk, 0, range(4), range(len(chunk)))]), ops, kv)
    monkeypatch.setattr(observe, "STEP_TOKENS", 45)
    found = mean_inputs(ModelFile(Path("m"), PAGES[0], spec, weights, {}, None, lambda: None), chunks)
    for layer in range(2):
        np.testing.assert_allclose(found[layer], np.mean(ops.seen[layer], axis=0), atol=1e-5)


@pytest.mark.parametrize("characters", [2, 3, 5])
def test_a_token_like_a_characters_goes_to_it(characters: int) -> None:
    random = np.random.default_rng(characters)
    common = random.normal(size=(2, 64)) * 3
    means = [common + random.normal(size=(2, 64)) for _ in range(characters)]
    made = routers([f"c{number}" for number in range(characters)], means)
    assert len(made) == 2 and made[0].shape == (characters, 64)
    for layer, rows in enumerate(made):
        mean = np.mean([one[layer] for one in means], axis=0)
        np.testing.assert_allclose(rows @ mean, 0, atol=1e-4)
        for number, one in enumerate(means):
            logits = rows @ one[layer]
            assert logits.argmax() == number
            assert logits[number] == pytest.approx(router.MARGIN, rel=1e-4)


def test_characters_that_are_asked_the_same_are_told_apart_by_nobody() -> None:
    one, other = np.ones((2, 8)) + np.eye(2, 8), np.ones((2, 8)) - np.eye(2, 8)
    with pytest.raises(RequestError, match="what a is asked is too much like what the others are"):
        routers(["a", "b"], [one, one])
    with pytest.raises(RequestError, match="too much like"):
        routers(["a", "b"], [one, one * (1 + 1e-7)])
    assert len(routers(["a", "b"], [one, other])) == 2
