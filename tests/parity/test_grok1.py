"""Grok-1, from checkpoints in the release's own format, against what xAI's reference code makes of them in float32.

The checkpoints are random and tiny; the second has twelve layers, whose files are not in the order of their numbers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.arch.grok1_release import Hyperparameters, release_layout
from gadfly.model.cost import Cost
from gadfly.weights.release_writer import write_release

DATA = Path(__file__).parent.parent / "data"
NAMES = ["tiny-grok-1", "tiny-grok-1-12layer"]
ERROR = 0.025  # of a logit, by activations as two int8 and a cache of half floats


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
    llm = gadfly.load(DATA / name, threads=2)
    for prompt in prompts(name):
        ids = prompt["ids"].tolist()
        np.testing.assert_allclose(llm.logits(ids), prompt["f32_logits"], rtol=0, atol=ERROR)
        assert prompt["f32_greedy_margin"].min() > 2 * ERROR
        found = llm.generate(ids, max_tokens=len(prompt["f32_greedy"]), temperature=0.0).ids
        assert list(found) == prompt["f32_greedy"].tolist()


@pytest.mark.parametrize("seed", range(8))
def test_native_follows_the_reference_on_any_checkpoint(tmp_path: Path, seed: int) -> None:
    """Of any shapes, groups of scales and weights; what int8 kernels cannot take is multiplied as floats."""
    random = np.random.default_rng(seed)
    write_release(tmp_path / "grok", shape := random_shape(random), random_tensors(shape, random))
    reference = gadfly.load(tmp_path / "grok", backend="reference")
    native = gadfly.load(tmp_path / "grok", threads=2)
    ids = random.integers(0, shape.vocab_size, 50).tolist()
    text = ids[:10] + list(reference.generate(ids[:10], max_tokens=20, temperature=0.0).ids)
    np.testing.assert_allclose(native.logits(ids), reference.logits(ids), rtol=0, atol=ERROR)
    best = np.sort(reference.logits(text), axis=-1)[9:-1]
    unclear = np.flatnonzero(best[:, -1] - best[:, -2] < 2 * ERROR)
    clear = unclear[0] if len(unclear) else len(best)
    found = native.generate(ids[:10], max_tokens=20, temperature=0.0).ids
    assert list(found)[:clear] == text[10 : 10 + clear]


def random_shape(random: np.random.Generator) -> Hyperparameters:
    kv_heads, experts = int(random.integers(1, 4)), int(random.integers(2, 9))
    dim = int(random.choice([64, 80, 96, 128, 192]))
    return Hyperparameters(
        vocab_size=120,
        sequence_len=64,
        emb_size=dim,
        key_size=int(random.choice([8, 16, 24, 32, 64])),
        num_q_heads=kv_heads * int(random.integers(1, 7)),
        num_kv_heads=kv_heads,
        num_layers=int(random.integers(1, 5)),
        widening_factor=float(random.choice([1.5, 2.0, 2.5, 3.0])),
        num_experts=experts,
        num_selected_experts=int(random.integers(1, min(experts, 3) + 1)),
        embedding_multiplier_scale=dim**0.5,
        attn_logit_cap=float(random.choice([2.0, 30.0])),
    )


def random_tensors(shape: Hyperparameters, random: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """As large as keeps activations in their size, each weight with as many groups of scales as come up."""
    for tensor in release_layout(shape):
        if tensor.kind == "float32":
            size = 1 if tensor.name.endswith("/scale") else 0.5
            yield tensor.name, random.normal(size == 1, 0.1 if size == 1 else size, tensor.shape).astype(np.float32)
            continue
        *stack, inputs, outputs = tensor.shape
        codes = random.integers(-127, 128, tensor.shape, dtype=np.int8)
        groups = int(random.choice([count for count in (1, 2, 3, 4, 8) if inputs % count == 0]))
        scales = random.uniform(0.5, 1.5, (*stack, groups, outputs)) / (73 * inputs**0.5)
        yield tensor.name, (codes, (scales.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))


def test_without_a_tokenizer_text_is_refused_and_ids_are_not() -> None:
    llm = gadfly.load(DATA / "tiny-grok-1")
    assert llm.tokenizer is None
    assert len(llm.generate([5, 6, 7], max_tokens=3).ids) == 3
    with pytest.raises(gadfly.GadflyError, match="no tokenizer"):
        llm.generate("Hello")


def test_a_token_reads_its_own_experts_and_no_others() -> None:
    llm = gadfly.load(DATA / "tiny-grok-1")  # int8, with a scale for each row
    cost = Cost.of(llm.spec, tied=True)
    assert cost.matrix_parameters < llm.bytes_per_token < 1.5 * cost.matrix_parameters
    assert cost.matrix_parameters < cost.parameters / 2


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
