"""A mixture is the dense model where its experts are alike, and each of its characters where their expert is chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gadfly
from gadfly.arch import PAGES
from gadfly.batch import Batch, Span
from gadfly.convert.convert import Wanted, convert, convert_model
from gadfly.convert.mixture import mixable, mixture, shares_attention
from gadfly.engine.executor import Executor
from gadfly.errors import RequestError, UnsupportedError
from gadfly.hub.progress import Silent
from gadfly.ops.reference import Reference
from gadfly.spec import MoE
from gadfly.testing import random_adapter, random_weights, tiny_specs
from gadfly.weight import Weights
from gadfly.weights.adapter import Adapter, merged
from gadfly.weights.adapter_sum import summed
from gadfly.weights.load import ModelFile, open_model

IDS = [int(token) for token in np.random.default_rng(3).integers(0, 256, 60)]
KINDS = {"llama": "llama", "mistral": "llama", "qwen3": "qwen-3"}  # pages, and the specs of their tests


class Forced(Reference):
    """Every token goes to one expert, whatever the router says."""

    def __init__(self, expert: int) -> None:
        self.expert = expert

    def compile(self, forward):
        return lambda batch: forward(self, batch)

    def route(self, x, router, spec: MoE):  # noqa: ARG002
        assert spec.renormalised and spec.selected == 1
        return np.tile(np.float32([[[self.expert], [1.0]]]), (len(x), 1, 1))


def dense(page: str = "llama", tied: bool = False) -> ModelFile:
    spec = tiny_specs()[KINDS[page]]
    mixer, width = spec.blocks[0].mixer, spec.blocks[0].mixer.head_dim
    mixer = replace(mixer, rope=replace(mixer.rope, dim=width), scale=width**-0.5, head_norm=mixer.head_norm and 1e-5)
    spec = replace(spec, blocks=(replace(spec.blocks[0], mixer=mixer),) * 2)
    weights = random_weights(spec, 1)
    if tied:
        weights = Weights({**{path: weights[path] for path in weights}, "output": weights["embedding"]})
    found = next(one for one in PAGES if one.name == page)
    return ModelFile(Path("dense"), found, spec, weights, {}, None, lambda: None)


def adapters(spec, *strengths: float) -> list[tuple[Adapter, float]]:
    return [(random_adapter(spec, seed), strength) for seed, strength in enumerate(strengths, 5)]


def random_routers(spec, experts: int) -> list[np.ndarray]:
    return list(np.random.default_rng(9).normal(size=(len(spec.blocks), experts, spec.dim)).astype(np.float32))


def logits(model: ModelFile, backend: Reference | None = None) -> np.ndarray:
    backend = backend or Reference()
    made = Executor(model.spec, model.weights.map(backend.place), backend, 8, 16)
    return made.step(Batch.of([Span(IDS, 0, range(8), range(len(IDS)))]))


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("page", KINDS)
def test_where_all_experts_are_alike_it_is_the_dense_model(page: str) -> None:
    model = dense(page)
    routers = random_routers(model.spec, 3)
    silent = mixture(model, adapters(model.spec, 0.0, 0.0, 0.0), routers, 2)
    assert isinstance(silent.spec.blocks[0].ffn, MoE) and silent.page.name in ("mixtral", "qwen3moe")
    assert_close(logits(silent), logits(model))
    one = random_adapter(model.spec, 5)
    same = mixture(model, [(one, 0.8)] * 3, routers, 2)
    expected = logits(merged(model, summed([(one, 0.8)])))
    assert_close(logits(same), expected)
    assert np.abs(expected - logits(model)).max() > 0.1


@pytest.mark.parametrize("expert", [0, 1, 2])
def test_where_an_expert_is_chosen_it_is_the_merged_model(expert: int) -> None:
    """With the mean of all adapters in what experts share."""
    model = dense()
    parts = adapters(model.spec, 1.0, 0.5, -0.7)
    fed = [replace(one, pairs={p: pair for p, pair in one.pairs.items() if ".ffn." in p}) for one, _ in parts]
    alone = [(one, strength) for one, (_, strength) in zip(fed, parts, strict=True)]
    routers = random_routers(model.spec, 3)
    assert not shares_attention(fed) and shares_attention([one for one, _ in parts])
    found = logits(mixture(model, alone, routers, 1), Forced(expert))
    assert_close(found, logits(merged(model, summed([alone[expert]]))))
    rest = [replace(one, pairs={p: q for p, q in one.pairs.items() if ".ffn." not in p}) for one, _ in parts]
    mean = [(one, strength / 3) for one, (_, strength) in zip(rest, parts, strict=True)]
    found = logits(mixture(model, parts, routers, 1), Forced(expert))
    assert_close(found, logits(merged(model, summed([alone[expert], *mean]))))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("page", KINDS)
def test_what_is_written_says_the_same(page: str, tied: bool, tmp_path: Path) -> None:
    model = dense(page, tied)
    parts = [(one, strength) for one, strength in adapters(model.spec, 1.0, 0.5)]
    if tied:
        parts = [(replace(one, pairs={k: v for k, v in one.pairs.items() if k != "output"}), s) for one, s in parts]
    whole = mixture(model, parts, random_routers(model.spec, 2), 2)
    expected = logits(whole)
    for name in ("mixture", "mixture.gguf"):
        convert_model(whole, "", tmp_path / name, Wanted("f32"), 1, Silent())
        opened = open_model(tmp_path / name)
        assert opened.page.name == whole.page.name and (opened.weights["output"] is opened.weights["embedding"]) == tied
        assert_close(gadfly.load(tmp_path / name, backend="reference").logits(IDS), expected)
        np.testing.assert_allclose(
            gadfly.load(tmp_path / name, backend="native", threads=1).logits(IDS), expected, atol=0.02
        )


def test_a_base_in_a_gguf_file_keeps_what_it_says_of_itself(tmp_path: Path) -> None:
    model = dense()
    convert_model(model, "", tmp_path / "dense.gguf", Wanted("f32"), 1, Silent())
    opened = open_model(tmp_path / "dense.gguf")
    parts = adapters(opened.spec, 1.0, 0.5)
    whole = mixture(opened, parts, random_routers(model.spec, 2), 2)
    convert_model(whole, "", tmp_path / "mixture.gguf", Wanted("f32"), 1, Silent())
    found = open_model(tmp_path / "mixture.gguf")
    assert found.metadata["general.name"] == opened.metadata["general.name"]
    assert (found.metadata["llama.expert_count"], found.metadata["llama.expert_used_count"]) == (2, 2)
    assert_close(logits(found), logits(whole))
    convert(tmp_path / "mixture.gguf", tmp_path / "folder", Wanted("f32"), 1, Silent())
    assert_close(logits(open_model(tmp_path / "folder")), logits(whole))


def test_what_no_mixture_can_be_made_of_is_refused() -> None:
    model = dense()
    whole = random_adapter(model.spec, 5)
    mixable(model, {"a": whole})
    attention = replace(whole, pairs={path: pair for path, pair in whole.pairs.items() if ".ffn." not in path})
    with pytest.raises(RequestError, match=r"b changes attention alone.*parts = .feed-forward"):
        mixable(model, {"a": whole, "b": attention})
    for page, kind in (("gemma3", "gemma-3"), ("mixtral", "mixtral")):
        other = replace(model, page=next(one for one in PAGES if one.name == page), spec=tiny_specs()[kind])
        with pytest.raises(UnsupportedError, match="mixtures are made of dense models of llama, mistral, qwen3"):
            mixable(other, {"a": whole})
