"""Adapters on disk: PEFT's own code reads what we write, and what it does not mean is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from gadfly.arch import PAGES
from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.ops.reference import Reference
from gadfly.testing import random_weights, tiny_spec
from gadfly.weights.adapter import Adapter, Pair, merged, read_adapter
from gadfly.weights.adapter_writer import write_adapter
from gadfly.weights.model_file import ModelFile
from gadfly.weights.safetensors_writer import write_safetensors

SPEC = tiny_spec()
LLAMA = next(page for page in PAGES if page.name == "llama")


def adapter() -> Adapter:
    random, shapes = np.random.default_rng(1), dict(SPEC.shapes())
    paths = ["blocks.0.mixer.query", "blocks.1.ffn.down"]
    pairs = {
        path: Pair(
            random.normal(size=(4, shapes[path][1])).astype(np.float32),
            random.normal(size=(shapes[path][0], 4)).astype(np.float32),
        )
        for path in paths
    }
    return Adapter(pairs, 2.0, {"made": "here"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = adapter()
    write_adapter(tmp_path / "a", written, LLAMA, "tiny", {"README.md": b"A card"})
    read = read_adapter(tmp_path / "a", LLAMA, SPEC)
    assert read.scale == written.scale and read.facts == written.facts and read.pairs.keys() == written.pairs.keys()
    for path, pair in written.pairs.items():
        np.testing.assert_array_equal(read.pairs[path].down, pair.down)
        np.testing.assert_array_equal(read.pairs[path].up, pair.up)
    assert (tmp_path / "a" / "README.md").read_bytes() == b"A card"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"use_dora": True}, UnsupportedError, "use_dora"),
        ({"bias": "all"}, UnsupportedError, "bias"),
        ({"rank_pattern": {"a": 1}}, UnsupportedError, "rank_pattern"),
        ({"r": 0}, ModelFileError, "r is 0"),
        ({"r": "4"}, ModelFileError, "r is '4'"),
        ({"r": 5}, ModelFileError, "shape"),
        ({"lora_alpha": None}, ModelFileError, "lora_alpha is None"),
    ],
)
def test_what_would_mean_something_else_is_refused(tmp_path: Path, change: dict, error: type, says: str) -> None:
    write_adapter(tmp_path / "a", adapter(), LLAMA)
    config = tmp_path / "a" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(error, match=says):
        read_adapter(tmp_path / "a", LLAMA, SPEC)


def test_damage_is_an_error_with_a_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no .*adapter_config"):
        read_adapter(tmp_path, LLAMA, SPEC)
    write_adapter(tmp_path / "a", adapter(), LLAMA)
    (tmp_path / "a" / "adapter_config.json").write_text("[")
    with pytest.raises(ModelFileError, match="damaged"):
        read_adapter(tmp_path / "a", LLAMA, SPEC)


def test_merged_weights_are_the_sum(tmp_path: Path) -> None:
    weights = random_weights(SPEC, 1, "Q8_0")
    file = ModelFile(tmp_path, LLAMA, SPEC, weights, {}, None, lambda: None)
    one, reference = adapter(), Reference()
    after = merged(file, one).weights
    for path in weights:
        expected = reference.place(weights[path])
        if path in one.pairs:
            expected = expected + one.scale * one.pairs[path].up @ one.pairs[path].down
            rows = after[path].rows(slice(3, 7))
            np.testing.assert_allclose(rows.array, expected[3:7], atol=1e-6)
        np.testing.assert_allclose(reference.place(after[path]), expected, atol=1e-6)


def test_half_floats_are_half_as_large(tmp_path: Path) -> None:
    for name, half in (("a", False), ("b", True)):
        write_adapter(tmp_path / name, adapter(), LLAMA, half=half)
    sizes = [(tmp_path / name / "adapter_model.safetensors").stat().st_size for name in "ab"]
    assert sizes[1] < 0.6 * sizes[0]
    for path, pair in read_adapter(tmp_path / "b", LLAMA, SPEC).pairs.items():
        np.testing.assert_allclose(pair.up, adapter().pairs[path].up, rtol=1e-3, atol=1e-6)


def test_what_a_file_fuses_is_cut(tmp_path: Path) -> None:
    """As adapters of Phi 3 are, whose queries, keys and values are one matrix for PEFT."""
    page, shapes = next(page for page in PAGES if page.name == "phi3"), dict(SPEC.shapes())
    paths = [f"blocks.0.mixer.{name}" for name in ("query", "key", "value")]
    rows = [shapes[path][0] for path in paths]
    down, up = (np.random.default_rng(1).normal(size=shape).astype(np.float32) for shape in ((4, 64), (sum(rows), 4)))
    write_adapter(tmp_path / "a", Adapter({"blocks.0.mixer.output": Pair(down, up[:64])}, 1.0), page)
    module = "base_model.model.model.layers.0.self_attn.qkv_proj"
    write_safetensors(
        tmp_path / "a" / "adapter_model.safetensors",
        {f"{module}.lora_A.weight": ("F32", down.shape, down), f"{module}.lora_B.weight": ("F32", up.shape, up)},
    )
    pairs = read_adapter(tmp_path / "a", page, SPEC).pairs
    assert list(pairs) == paths
    np.testing.assert_array_equal(np.concatenate([pairs[path].up for path in paths]), up)
    with pytest.raises(UnsupportedError, match="no matrix of its own"):
        write_adapter(tmp_path / "b", Adapter(pairs, 1.0), page)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    one = adapter()
    one.pairs["blocks.1.ffn.down"].up[3, 2] = np.nan
    write_adapter(tmp_path / "a", one, LLAMA)
    with pytest.raises(ModelFileError, match=r"layers\.1\.mlp\.down_proj\.lora_B.* numbers in it that are none"):
        read_adapter(tmp_path / "a", LLAMA, SPEC)
