"""Adapters in GGUF files: the tensors that llama.cpp expects, and back to what they were."""

from pathlib import Path

import numpy as np
import pytest

from gadfly.arch import PAGES
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.testing import random_adapter, tiny_spec
from gadfly.weights.adapter import read_adapter
from gadfly.weights.adapter_writer import write_gguf_adapter
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_writer import write_gguf

SPEC = tiny_spec()
LLAMA, MISTRAL, PHI = (next(page for page in PAGES if page.name == name) for name in ("llama", "mistral", "phi3"))


@pytest.mark.parametrize("half", [False, True])
def test_what_is_written_is_read(tmp_path: Path, half: bool) -> None:
    adapter = random_adapter(SPEC, 1)
    write_gguf_adapter(tmp_path / "a.gguf", adapter, LLAMA, SPEC, "a", half)
    read = read_adapter(tmp_path / "a.gguf", LLAMA, SPEC)
    assert read.scale == pytest.approx(adapter.scale, rel=1e-6) and read.pairs.keys() == adapter.pairs.keys()
    for path, pair in adapter.pairs.items():
        np.testing.assert_allclose(read.pairs[path].down, pair.down, rtol=1e-3 * half, atol=1e-6 * half)
        np.testing.assert_allclose(read.pairs[path].up, pair.up, rtol=1e-3 * half, atol=1e-6 * half)


def test_queries_lie_in_the_order_of_the_base(tmp_path: Path) -> None:
    """Whose heads pair neighbours in GGUF files of llama: a delta is permuted as its matrix is."""
    adapter = random_adapter(SPEC, 1)
    write_gguf_adapter(tmp_path / "a.gguf", adapter, LLAMA, SPEC, "a", half=False)
    file = GGUF.open(tmp_path / "a.gguf")
    assert file.metadata["adapter.lora.alpha"] == pytest.approx(adapter.scale * 4)
    up, own = np.array(file.weight("blk.0.attn_q.weight.lora_b").array), adapter.pairs["blocks.0.mixer.query"].up
    half = SPEC.blocks[0].mixer.head_dim // 2
    np.testing.assert_array_equal(up[[0, 1, 2]], own[[0, half, 1]])
    np.testing.assert_array_equal(
        file.weight("blk.0.attn_q.weight.lora_a").array, adapter.pairs["blocks.0.mixer.query"].down
    )


def test_what_it_was_made_from_is_kept(tmp_path: Path) -> None:
    adapter = random_adapter(SPEC, 1)
    adapter = type(adapter)(adapter.pairs, adapter.scale, {"dial": [[0, 0], [1, 1]], "base": "größer"})
    write_gguf_adapter(tmp_path / "a.gguf", adapter, LLAMA, SPEC, "a")
    assert read_adapter(tmp_path / "a.gguf", LLAMA, SPEC).facts == adapter.facts


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    write_gguf_adapter(path, random_adapter(SPEC, 1), LLAMA, SPEC, "a")
    with pytest.raises(UnsupportedError, match=r"made for the architecture 'llama'"):
        read_adapter(path, PHI, SPEC)
    factor = np.zeros((4, 64), np.float32)
    good = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    for metadata, tensors, error, says in (
        (good | {"general.type": "model"}, {"blk.0.attn_q.weight.lora_a": factor}, UnsupportedError, "no LoRA adapter"),
        (good, {"blk.0.attn_q.weight.lora_a": factor}, ModelFileError, "both factors"),
        (good, {"blk.0.attn_q.weight": factor}, ModelFileError, "no half"),
        (good, {"blk.9.attn_q.weight.lora_a": factor}, ModelFileError, "no adapter of a matrix"),
        (good, {"token_embd.weight.lora_a": factor[:, :9]}, ModelFileError, "shape"),
        (good, {"blk.0.attn_q.weight.lora_a": factor[0]}, ModelFileError, r"shape \(64,\); expected a matrix"),
        (
            good | {"adapter.lora.alpha": -1.0},
            dict(zip(_names(), (factor, factor.T), strict=True)),
            ModelFileError,
            "alpha",
        ),
        (good | {"gadfly.facts": "["}, dict(zip(_names(), (factor, factor.T), strict=True)), ModelFileError, "no JSON"),
    ):
        write_gguf(path, metadata, {n: ("F32", x.shape, np.ascontiguousarray(x)) for n, x in tensors.items()})
        with pytest.raises(error, match=says):
            read_adapter(path, LLAMA, SPEC)


def _names() -> tuple[str, str]:
    return "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"
