"""Grok-1, from checkpoints in the release's own format, against what xAI's reference code makes of them in float32.

The checkpoints are random and tiny; the second has twelve layers, whose files are not in the order of their numbers.
"""

from pathlib import Path

import numpy as np
import pytest

import gadfly

DATA = Path(__file__).parent.parent / "data"
NAMES = ["tiny-grok-1", "tiny-grok-1-12layer"]


def prompts(name: str) -> list[dict[str, np.ndarray]]:
    golden = np.load(DATA / name / "expected.npz")
    count = sum(key.endswith("_ids") for key in golden.files)
    keys = ("ids", "f32_logits", "f32_greedy", "f32_greedy_margin")
    return [{key: golden[f"p{i}_{key}"] for key in keys} for i in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_reference_is_the_release_in_float32(name: str) -> None:
    llm = gadfly.load(DATA / name, backend="reference")
    for prompt in prompts(name):
        ids = prompt["ids"].tolist()
        np.testing.assert_allclose(llm.logits(ids), prompt["f32_logits"], rtol=0, atol=1e-4)
        found = llm.generate(ids, max_tokens=len(prompt["f32_greedy"]), temperature=0.0).ids
        assert list(found) == prompt["f32_greedy"].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_native_follows_it(name: str) -> None:
    """As closely as int8 activations and a rounded cache can in a model this small."""
    llm = gadfly.load(DATA / name, threads=2)
    for prompt in prompts(name):
        found, expected = llm.logits(prompt["ids"].tolist()), prompt["f32_logits"]
        assert np.sqrt(np.mean(np.square(found - expected))) < 0.1 * expected.std()
        margins = np.diff(np.sort(expected, axis=-1)[:, -2:], axis=-1)[:, 0]
        clear = margins > 1.0
        np.testing.assert_array_equal(found.argmax(-1)[clear], expected.argmax(-1)[clear])


def test_without_a_tokenizer_text_is_refused_and_ids_are_not() -> None:
    llm = gadfly.load(DATA / "tiny-grok-1")
    assert llm.tokenizer is None
    assert len(llm.generate([5, 6, 7], max_tokens=3).ids) == 3
    with pytest.raises(gadfly.GadflyError, match="no tokenizer"):
        llm.generate("Hello")


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_it_is_counted_which_experts_tokens_go_to(backend: str) -> None:
    llm = gadfly.load(DATA / "tiny-grok-1-12layer", backend=backend)
    experts = llm.spec.blocks[0].ffn.experts
    assert llm.expert_use() == [[0] * experts] * 12
    llm.generate([5, 6, 7, 8], max_tokens=5)  # the fifth is not read any more
    use = llm.expert_use()
    assert [sum(layer) for layer in use] == [(4 + 4) * llm.spec.blocks[0].ffn.selected] * 12
    assert max(map(max, use)) <= 8
    llm.logits([5, 6, 7])  # in a cache of its own, which is no answer
    assert llm.expert_use() == use


def test_both_backends_count_the_same() -> None:
    """But for a token or so that finds two experts equally likely."""
    use = []
    for backend in ("native", "reference"):
        llm = gadfly.load(DATA / "tiny-grok-1", backend=backend)
        llm.generate([5, 6, 7, 8], max_tokens=1)
        use.append(llm.expert_use())
    moved = sum(abs(a - b) for mine, theirs in zip(*use, strict=True) for a, b in zip(mine, theirs, strict=True))
    assert moved <= 2
