"""What goes along with the weights: metadata, tokenizers, licences; nothing that lies elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gadfly
from gadfly.convert.convert import Converted, Wanted, convert
from gadfly.errors import ModelFileError
from gadfly.hub.progress import Silent
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_writer import write_gguf
from gadfly.weights.load import open_model

IDS = [5, 9, 200, 31, 7]
LINEAR, UNEVEN = [4.0] * 8, [1.0] * 4 + [8.0] * 4


def converted(source: Path, target: Path, **wanted: object) -> Converted:
    return convert(source, target, Wanted(**wanted), 2, Silent())


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [({}, 15), ({"format": "q8_0"}, 7), ({"format": "BF16"}, 32), ({"size": 700_000}, 15), ({"size": 10**8}, 7)],
)
def test_the_file_says_what_most_of_it_is(
    write_model: Callable[..., Path], tmp_path: Path, wanted: dict[str, object], expected: int
) -> None:
    """By llama.cpp's numbers."""
    done = converted(write_model(dim=256), tmp_path / "model.gguf", **wanted)
    with GGUF.open(done.path) as file:
        assert file.metadata["general.file_type"] == expected, done.formats
        assert file.metadata["general.quantization_version"] == 2


def test_a_second_quantisation_says_so(write_model: Callable[..., Path], tmp_path: Path) -> None:
    first = converted(write_model(), tmp_path / "first.gguf", format="q4_0", pure=True)
    assert first.notes == ()
    assert "Q4_0" in converted(first.path, tmp_path / "second.gguf", format="q8_0").notes[0]
    assert converted(first.path, tmp_path / "again.gguf", format="q4_0", pure=True).notes == ()


def test_everything_that_a_gguf_says_goes_along(write_model: Callable[..., Path], tmp_path: Path) -> None:
    first = converted(write_model(), tmp_path / "first.gguf", format="f32").path
    with GGUF.open(first) as file:
        said = {
            **file.metadata,
            "general.author": "A. Uthor",
            "x.list": ["a", ""],
            "x.numbers": np.arange(3, dtype=np.int8),
        }
        tensors = {n: ("F32", t.shape, file.weight(n).array) for n, t in file.tensors.items()}
    write_gguf(tmp_path / "said.gguf", said, tensors)
    with GGUF.open(converted(tmp_path / "said.gguf", tmp_path / "second.gguf", format="f16").path) as file:
        found = {**file.metadata}
    for name in said.keys() - {"general.file_type"}:
        np.testing.assert_array_equal(found[name], said[name])


@pytest.mark.parametrize(
    ("by", "divisors"),
    [("keys", LINEAR), ("tensor", LINEAR), ("both", LINEAR), ("tensor", UNEVEN), ("both", UNEVEN)],
)
def test_a_stretched_rope_is_stretched_once(
    write_model: Callable[..., Path], tmp_path: Path, by: str, divisors: list[float]
) -> None:
    """By keys or by a tensor, whatever the source had: llama.cpp would apply both."""
    first = converted(write_model(), tmp_path / "first.gguf", format="f32").path
    with GGUF.open(first) as file:
        said = {**file.metadata}
        tensors = {n: ("F32", t.shape, file.weight(n).array) for n, t in file.tensors.items()}
    if by != "tensor":
        said |= {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    if by != "keys":
        tensors["rope_freqs.weight"] = ("F32", (8,), np.array(divisors, np.float32))
    write_gguf(tmp_path / "stretched.gguf", said, tensors)
    second = converted(tmp_path / "stretched.gguf", tmp_path / "second.gguf", format="f32").path
    with GGUF.open(second) as file:
        assert ("llama.rope.scaling.type" in file.metadata) != ("rope_freqs.weight" in file.tensors)
    expected = gadfly.load(tmp_path / "stretched.gguf", backend="reference").logits(IDS)
    np.testing.assert_array_equal(gadfly.load(second, backend="reference").logits(IDS), expected)


def test_small_files_go_along_but_none_from_elsewhere(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model()
    (source / "LICENSE").write_text("yours")
    (source / "notes.txt").write_text("mine")
    copy = converted(source, tmp_path / "copy").path
    assert (copy / "LICENSE").read_text() == "yours"
    assert not (copy / "notes.txt").exists()
    (source / "LICENSE").unlink()
    (tmp_path / "secret").write_text("secret")
    (source / "LICENSE").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelFileError, match="outside"):
        converted(source, tmp_path / "other")


def test_an_output_that_was_tied_is_told_from_one_that_is_not(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model()
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True, "extra": 1}))
    copy = converted(source, tmp_path / "copy", format="f32").path
    told = json.loads((copy / "config.json").read_text())
    model = open_model(copy)
    assert told["tie_word_embeddings"] is (model.weights["output"] is model.weights["embedding"])
    assert told["extra"] == 1
