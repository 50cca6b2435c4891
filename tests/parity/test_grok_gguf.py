"""Grok of both generations as GGUF, in and out.

The golden logits are those of llama.cpp's graph, as read from its code (src/models/grok.cpp, commit 0c1e570) and
computed in float64 with an exact tanh GELU; they were compared with llama.cpp 0c1e570 itself when they were made.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.arch import grok1, grok2
from gadfly.chat.values import Message
from gadfly.convert.convert import Wanted, convert
from gadfly.hub.progress import Silent
from gadfly.ops.reference import Reference
from gadfly.spec import ModelSpec
from gadfly.weights.load import open_model
from grok2_release import TINY, random_tensors, write_release, write_tokenizer
from grok_gguf import golden_tensors, keys, write_grok

DATA = Path(__file__).parent.parent / "data"
GOLDEN = np.load(DATA / "tiny-grok-gguf.npz")
GENERATIONS = [1, 2]
IDS = GOLDEN["grok2_ids2"].tolist()

Change = Callable[[ModelSpec], ModelSpec]


def written(folder: Path, generation: int, changes: Mapping[str, Any] | None = None) -> Path:
    """The golden file; `changes` replace keys and tensors or, being None, take them away."""
    held: dict[str, Any] = {**keys(generation), **golden_tensors(generation), **(changes or {})}
    tensors = {name: value for name, value in held.items() if isinstance(value, np.ndarray)}
    metadata = {name: value for name, value in held.items() if name not in tensors and value is not None}
    return write_grok(folder / "grok.gguf", metadata, tensors)


def logits(path: Path, ids: list[int] = IDS, spec: Change | None = None) -> np.ndarray:
    return gadfly.load(path, backend="reference", spec=spec).logits(ids)


def converted(source: Path, target: Path, form: str = "f32") -> Path:
    convert(source, target, Wanted(form), 2, Silent())
    return target


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in units of the spread of logits."""
    return float(np.abs(found - expected).max() / expected.std())


@pytest.mark.parametrize("generation", GENERATIONS)
def test_as_llama_cpp(tmp_path: Path, generation: int) -> None:
    path = written(tmp_path, generation)
    for prompt in range(3):
        ids, expected = (GOLDEN[f"grok{generation}_{part}{prompt}"] for part in ("ids", "logits"))
        assert off(logits(path, ids.tolist(), grok2.as_llama_cpp), expected) < 1e-3


def test_by_default_it_is_the_release_that_is_computed(tmp_path: Path) -> None:
    """Beside a dense branch it matters that weights of experts do not sum to one; without one, a norm undoes it."""
    for generation, low, high in ((1, 0, 1e-3), (2, 0.1, 10)):
        found, theirs = (logits(written(tmp_path, generation), spec=spec) for spec in (None, grok2.as_llama_cpp))
        assert low <= off(found, theirs) < high


@pytest.mark.parametrize("generation", GENERATIONS)
def test_native_follows_it(tmp_path: Path, generation: int) -> None:
    path = written(tmp_path, generation)
    exact, close = logits(path), gadfly.load(path, threads=2).logits(IDS)
    assert np.sqrt(np.mean(np.square(close - exact))) < 0.1 * exact.std()


# --- files that people have


def test_the_last_norm_of_a_layer_has_two_names(tmp_path: Path) -> None:
    for generation, name, other in (
        (1, "layer_output_norm", "post_ffw_norm"),
        (2, "post_ffw_norm", "layer_output_norm"),
    ):
        tensors = golden_tensors(generation)
        renamed = {f"blk.{i}.{name}.weight": None for i in range(3)}
        renamed |= {f"blk.{i}.{other}.weight": tensors[f"blk.{i}.{name}.weight"] for i in range(3)}
        expected = logits(written(tmp_path, generation))
        np.testing.assert_array_equal(logits(written(tmp_path, generation, renamed)), expected)


def test_queries_keys_and_values_may_be_one_tensor(tmp_path: Path) -> None:
    tensors = golden_tensors(2)
    fused: dict[str, Any] = {}
    for i in range(3):
        names = [f"blk.{i}.attn_{part}.weight" for part in "qkv"]
        fused |= {f"blk.{i}.attn_qkv.weight": np.concatenate([tensors[name] for name in names])}
        fused |= dict.fromkeys(names)
    np.testing.assert_array_equal(logits(written(tmp_path, 2, fused)), logits(written(tmp_path, 2)))
    with pytest.raises(gadfly.GadflyError, match="belongs to no part of this model"):
        open_model(written(tmp_path, 2, {**fused, "blk.1.attn_q.weight": tensors["blk.1.attn_q.weight"]}))


def test_without_an_output_the_embedding_is_it(tmp_path: Path) -> None:
    expected = logits(written(tmp_path, 1, {"output.weight": golden_tensors(1)["token_embd.weight"]}))
    np.testing.assert_array_equal(logits(written(tmp_path, 1, {"output.weight": None})), expected)


def test_without_a_width_of_the_experts_it_is_that_of_the_dense_branch(tmp_path: Path) -> None:
    alike = {f"blk.{i}.ffn_{part}.weight": golden_tensors(2)[f"blk.{i}.ffn_{part}_exps.weight"][0]
             for i in range(3) for part in ("gate", "up", "down")}  # fmt: skip
    stated = logits(written(tmp_path, 2, {**alike, "grok.feed_forward_length": 96}))
    unstated = {**alike, "grok.feed_forward_length": 96, "grok.expert_feed_forward_length": None}
    np.testing.assert_array_equal(logits(written(tmp_path, 2, unstated)), stated)


def test_keys_that_a_converter_writes_are_read(tmp_path: Path) -> None:
    plain = logits(written(tmp_path, 2))
    scaling = {"type": "yarn", "factor": 16.0, "original_context_length": 8192, "yarn_beta_slow": 1.0}
    np.testing.assert_array_equal(
        logits(written(tmp_path, 2, {f"grok.rope.scaling.{key}": value for key, value in scaling.items()})), plain
    )
    cold = logits(written(tmp_path, 2, {"grok.attention.temperature_length": 8}))
    np.testing.assert_array_equal(cold[:9], plain[:9])
    assert off(cold[9:], plain[9:]) > 1e-2


# --- files that we write


@pytest.mark.parametrize("name", ["tiny-grok-1", "tiny-grok-1-12layer"])
def test_grok1_from_the_release_to_gguf_and_to_a_folder(tmp_path: Path, name: str) -> None:
    """The folder's names are those that SGLang reads, and vLLM by way of its Grok-2."""
    expected = logits(DATA / name, [5, 6, 7, 8])
    for target in ("grok.gguf", "grok"):
        path = converted(DATA / name, tmp_path / target)
        assert open_model(path).page is grok1.PAGE
        np.testing.assert_allclose(logits(path, [5, 6, 7, 8]), expected, rtol=0, atol=1e-5)


def test_grok2_from_the_release_to_gguf_and_to_a_folder_and_back(tmp_path: Path) -> None:
    config = {**TINY, "attn_temperature_len": 4}
    write_release(tmp_path / "release", config, random_tensors(config, 6))
    ids = list(range(20))
    expected = logits(tmp_path / "release", ids)
    gguf = converted(tmp_path / "release", tmp_path / "grok.gguf")
    for path in (gguf, converted(tmp_path / "release", tmp_path / "whole"), converted(gguf, tmp_path / "again")):
        assert open_model(path).page is grok2.PAGE
        np.testing.assert_allclose(logits(path, ids), expected, rtol=0, atol=1e-5)


def test_a_folder_of_whole_experts_says_so(tmp_path: Path) -> None:
    """SGLang would look for pieces, and vLLM for one table instead of two, if nobody said otherwise."""
    write_release(tmp_path / "release", TINY, random_tensors(TINY, 8))
    config = json.loads((converted(tmp_path / "release", tmp_path / "whole") / "config.json").read_text())
    stated = {name: config.get(name) for name in ("load_presharded_moe", "tie_word_embeddings", "residual_moe")}
    assert stated == {"load_presharded_moe": False, "tie_word_embeddings": False, "residual_moe": True}
    assert "attn_output_multiplier" not in config


TALKING = {**TINY, "vocab_size": 263}
WORDS = [b"He", b"ll", b"Hell", b"Hello"]
TALK = [Message("system", "Be brief."), Message("user", "Hello, <|eos|>!"), Message("assistant", "12 Hellos.")]


def test_grok2_takes_its_tokenizer_and_template_along(tmp_path: Path) -> None:
    release = tmp_path / "release"
    write_release(release, TALKING, random_tensors(TALKING, 9))
    write_tokenizer(release, WORDS)
    gguf = converted(release, tmp_path / "grok.gguf")
    models = [gadfly.load(path) for path in (release, gguf, converted(gguf, tmp_path / "again"))]
    first, *others = [model.prompt_ids(TALK) for model in models]
    assert first.count(1) == 3 and first.count(2) == 0 and 3 + 256 + WORDS.index(b"Hello") in first
    assert others == [first, first]
    assert all(model.tokenizer and model.tokenizer.stop_ids == {1, 2} for model in models)


def test_grok2_quantised(tmp_path: Path) -> None:
    """Rows of `down` lie in eight pieces, which are put together before they are cut into blocks."""
    config = {**TINY, "hidden_size": 64, "num_attention_heads": 8, "moe_intermediate_size": 64}
    write_release(tmp_path / "release", config, random_tensors(config, 7))
    path = converted(tmp_path / "release", tmp_path / "grok.gguf", "q8_0")
    exact, close = (open_model(p).weights.map(Reference().place) for p in (tmp_path / "release", path))
    for name in exact:
        step = np.abs(exact[name]).max() / 127
        assert np.abs(close[name] - exact[name]).max() < 0.6 * step, name  # the scale itself is rounded, too
