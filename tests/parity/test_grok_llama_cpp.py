"""What llama.cpp itself makes of the Grok files that we write. Needs llama-cpp-python: `pip install 'gadfly[bench]'`.

Its cache is float32 here, as ours is, and flash attention off, as always with Grok. What remains is its GELU, which it
looks up in a table of half floats: up to one per cent of the spread of logits.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.arch import grok2
from gadfly.arch.rope import yarn
from gadfly.spec import ModelSpec
from gadfly.weights.load import open_model
from grok2_release import TINY, random_tensors, write_release, write_tokenizer
from grok_gguf import golden_tensors, keys, write_grok
from parity.test_grok_gguf import GENERATIONS, GOLDEN, TALKING, WORDS, converted, logits, off

llama_cpp = pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.slow

F32 = 0  # of ggml's types
SQUARE = {**TINY, "num_attention_heads": 4, "head_dim": 8, "hidden_size": 32}  # heads × head size = width


def theirs(path: Path, ids: list[int], **options: Any) -> np.ndarray:
    model = llama_cpp.Llama(
        str(path),
        n_ctx=256,
        n_batch=256,
        logits_all=True,
        type_k=F32,
        type_v=F32,
        verbose=False,
        n_threads=2,
        **options,
    )
    model.eval(ids)
    return np.array(model.scores[: len(ids)])


def ours(path: Path, ids: list[int], change: Callable[[ModelSpec], ModelSpec] = grok2.as_llama_cpp) -> np.ndarray:
    return logits(path, ids, change)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_files_of_others(tmp_path: Path, generation: int) -> None:
    path = write_grok(tmp_path / "grok.gguf", keys(generation), golden_tensors(generation))
    ids = GOLDEN[f"grok{generation}_ids2"].tolist()
    assert off(ours(path, ids), theirs(path, ids)) < 0.01


@pytest.mark.parametrize("generation", GENERATIONS)
def test_files_that_we_write(tmp_path: Path, generation: int) -> None:
    source = write_grok(tmp_path / "source.gguf", keys(generation), golden_tensors(generation))
    ids = GOLDEN[f"grok{generation}_ids1"].tolist()
    path = converted(converted(source, tmp_path / "folder"), tmp_path / "grok.gguf")
    assert off(ours(path, ids), theirs(path, ids)) < 0.01


def test_grok2_from_the_release(tmp_path: Path) -> None:
    write_release(tmp_path / "release", SQUARE, random_tensors(SQUARE, 3))
    path = converted(tmp_path / "release", tmp_path / "grok.gguf")
    ids = list(range(30))
    assert open_model(path).page.notes(open_model(path).spec) == ()
    assert off(ours(path, ids), theirs(path, ids)) < 0.01


def test_grok2_reads_and_writes_text_as_we_do(tmp_path: Path) -> None:
    write_release(tmp_path / "release", TALKING, random_tensors(TALKING, 9))
    write_tokenizer(tmp_path / "release", WORDS)
    path = converted(tmp_path / "release", tmp_path / "grok.gguf")
    tokenizer = gadfly.load(path).tokenizer
    assert tokenizer
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    for text in ("Hello, 1234 Hellos!", "Human: Hello<|separator|>\n\nAssistant:", " <|eos|>  é\n\n 's HELLO'LL"):
        assert model.tokenize(text.encode(), add_bos=False, special=True) == tokenizer.encode(text, special=True)


def test_yarn_keys_of_its_converter(tmp_path: Path) -> None:
    scaling = {"type": "yarn", "factor": 16.0, "original_context_length": 8192}
    scaling |= {"yarn_beta_fast": 8.0, "yarn_beta_slow": 1.0, "yarn_ext_factor": 1.0, "yarn_attn_factor": 1.0}
    metadata = {**keys(2), **{f"grok.rope.scaling.{key}": value for key, value in scaling.items()}}
    path = write_grok(tmp_path / "grok.gguf", metadata, golden_tensors(2))
    ids = GOLDEN["grok2_ids2"].tolist()
    stretched = yarn(open_model(path).spec.blocks[0].mixer.rope, 16.0, 8192, 8.0)
    expected = theirs(path, ids, yarn_beta_fast=8.0)
    assert off(ours(path, ids, lambda spec: grok2.as_llama_cpp(spec, stretched)), expected) < 0.01
    assert off(ours(path, ids), expected) > 0.1


def test_a_model_that_it_will_not_load(tmp_path: Path) -> None:
    config = {**TINY, "head_dim": 16}
    write_release(tmp_path / "release", config, random_tensors(config, 3))
    path = converted(tmp_path / "release", tmp_path / "grok.gguf")
    assert "llama.cpp will not load" in open_model(path).page.notes(open_model(path).spec)[0]
    with pytest.raises(ValueError, match="Failed to load model"):
        theirs(path, [1, 2, 3])
