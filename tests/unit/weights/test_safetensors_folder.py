"""Folders as models come in: one file, many with an index, tensor-parallel pieces; and folders that lie."""

import json

import numpy as np
import pytest
import safetensors.numpy

from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.weights.safetensors_folder import INDEX, SafetensorsFolder

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def save(path, **arrays):
    safetensors.numpy.save_file({name: np.asarray(array, np.float32) for name, array in arrays.items()}, path)


def write_index(folder, weight_map, **more):
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 8}, "weight_map": weight_map, **more}))


@pytest.fixture
def sharded(tmp_path):
    """Two files with an index, and beside them what else lies in such folders."""
    save(tmp_path / ONE, a=[[1, 2]])
    save(tmp_path / TWO, b=[[3, 4]], c=[5])
    save(tmp_path / "consolidated.safetensors", a=[[1, 2]])
    write_index(tmp_path, {"a": ONE, "b": TWO, "c": TWO})
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


@pytest.fixture
def pieces(tmp_path):
    """As Grok-2 was released: embedding whole, w1 and w2 in three pieces."""
    save(tmp_path / "pytorch_model-00000-TP-common.safetensors", embed=[[0, 1]])
    for rank in range(3):
        save(tmp_path / f"pytorch_model-00001-TP-{rank:03}.safetensors", w1=[[rank, rank]])
        save(tmp_path / f"pytorch_model-00002-TP-{rank:03}.safetensors", w2=[[rank], [10]])
    return tmp_path


def test_one_file(tmp_path):
    save(tmp_path / "model.safetensors", a=[[1, 2]])
    with SafetensorsFolder.open(str(tmp_path)) as model:
        assert model.paths == (tmp_path / "model.safetensors",)
        assert model.tensors["a"].shape == (1, 2)
        assert dict(model.pieces) == {}
        array = model.weight("a").array
        assert [weight.array.tolist() for weight in model.weights("a")] == [[[1, 2]]]
        assert model.array("a").tolist() == [[1, 2]]
        model.release()
    assert array.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="closed"):
        model.weight("a")


def test_only_the_files_of_the_index_count(sharded):
    with SafetensorsFolder.open(sharded) as model:
        assert model.paths == (sharded / ONE, sharded / TWO)
        assert {name: model.weight(name).array.tolist() for name in model.tensors} == {
            "a": [[1, 2]],
            "b": [[3, 4]],
            "c": [5],
        }
        with pytest.raises(ModelFileError, match=f"{sharded}: there is no tensor 'd'"):
            model.weight("d")


def test_without_an_index_all_files_count(sharded):
    (sharded / INDEX).unlink()
    with pytest.raises(
        ModelFileError, match=f"{ONE}: tensor 'a' is also in consolidated.safetensors; the files do not"
    ):
        SafetensorsFolder.open(sharded)
    (sharded / "consolidated.safetensors").rename(sharded / ".consolidated.safetensors")
    assert set(SafetensorsFolder.open(sharded).tensors) == {"a", "b", "c"}


def test_pieces_come_in_the_order_of_ranks(pieces):
    with SafetensorsFolder.open(pieces) as model:
        assert set(model.tensors) == {"embed"}
        assert {name: [piece.shape for piece in found] for name, found in model.pieces.items()} == {
            "w1": [(1, 2)] * 3,
            "w2": [(2, 1)] * 3,
        }
        assert [weight.array.tolist() for weight in model.weights("w1")] == [[[0, 0]], [[1, 1]], [[2, 2]]]
        assert [weight.array.tolist() for weight in model.weights("w2")] == [[[0], [10]], [[1], [10]], [[2], [10]]]
        assert [weight.array.tolist() for weight in model.weights("embed")] == [[[0, 1]]]
        with pytest.raises(UnsupportedError, match="tensor 'w1' comes in 3 pieces; expected a whole one"):
            model.weight("w1")


def test_more_than_ten_ranks_are_in_the_order_of_numbers(tmp_path):
    for rank in range(12):
        save(tmp_path / f"m-TP-{rank:03}.safetensors", w=[[rank]])
    weights = SafetensorsFolder.open(tmp_path).weights("w")
    assert [weight.array.item() for weight in weights] == list(range(12))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_missing_rank(pieces, rank):
    (pieces / f"pytorch_model-00002-TP-{rank:03}.safetensors").unlink()
    with pytest.raises(ModelFileError, match=f"tensor 'w2' has no piece of rank {rank}, of 3; a -TP-{rank:03} file is"):
        SafetensorsFolder.open(pieces)


def test_pieces_that_do_not_belong_together(pieces):
    save(pieces / "pytorch_model-00002-TP-001.safetensors", w2=[[1, 1], [10, 10]])
    with pytest.raises(ModelFileError, match="the pieces of tensor 'w2' differ in dtype or shape"):
        SafetensorsFolder.open(pieces)


@pytest.mark.parametrize("other", ["a-TP-common", "z-TP-common", "z-TP-002", "a", "a-TP-002"])
def test_a_piece_that_is_also_elsewhere(pieces, other):
    save(pieces / f"{other}.safetensors", w1=[[2, 2]])
    with pytest.raises(ModelFileError, match="tensor 'w1' is also in "):
        SafetensorsFolder.open(pieces)


def test_a_missing_part(sharded):
    (sharded / INDEX).unlink()
    (sharded / "consolidated.safetensors").unlink()
    (sharded / ONE).unlink()
    with pytest.raises(NotFoundError, match=f"{ONE}: this part of the model is missing; put all 2 parts"):
        SafetensorsFolder.open(sharded)


def test_a_file_of_the_index_is_missing(sharded):
    (sharded / TWO).unlink()
    with pytest.raises(NotFoundError, match=f"{TWO}: this file of the model is missing"):
        SafetensorsFolder.open(sharded)


def test_an_index_that_is_of_other_files(sharded):
    write_index(sharded, {"a": ONE, "b": TWO, "c": ONE})
    with pytest.raises(ModelFileError, match=f"{ONE}: tensor 'c' is missing, but {INDEX} says that it is here"):
        SafetensorsFolder.open(sharded)
    write_index(sharded, {"a": ONE, "b": TWO})
    with pytest.raises(ModelFileError, match=f"{TWO}: tensor 'c' is here, but {INDEX} does not say so"):
        SafetensorsFolder.open(sharded)
    save(sharded / ONE, a=[[1, 2]], c=[5])
    write_index(sharded, {"a": ONE, "b": TWO, "c": TWO})
    with pytest.raises(ModelFileError, match=f"{ONE}: tensor 'c' is here, but {INDEX} does not say so"):
        SafetensorsFolder.open(sharded)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "sub/model.safetensors",
        "/etc/model.safetensors",
        "..\\outside.safetensors",
        ".hidden.safetensors",
        "..",
        "",
        "model.bin",
        "a\0.safetensors",
        "a\n.safetensors",
        "a" * 1000 + ".safetensors",
    ],
)
def test_an_index_that_leads_elsewhere(sharded, name):
    save(sharded.parent / "outside.safetensors", a=[[1, 2]])
    (sharded / "sub").mkdir()
    save(sharded / "sub" / "model.safetensors", a=[[1, 2]])
    write_index(sharded, {"a": name})
    with pytest.raises(
        ModelFileError, match=r"expected the plain name of a .safetensors file in this folder"
    ) as caught:
        SafetensorsFolder.open(sharded)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("[]", "expected '{'"),
        ("{}", "names no tensors in a weight_map"),
        ('{"weight_map":{}}', "names no tensors in a weight_map"),
        ('{"weight_map":[]}', "expected '{'"),
        ('{"weight_map":{"a":1}}', "in weight_map 'a'; expected a string"),
        ('{"weight_map":{"a":"a.safetensors","a":"b.safetensors"}}', "'a' appears twice in weight_map"),
        ('{"metadata":' + "[" * 10_000, "more than 64 deep"),
        ('{"weight_map":{"a":"a.safetensors"}} x', "expected its end"),
        ('{"weight_map":{"a":"\\ud800.safetensors"}}', "not valid Unicode"),
        ('{"weight_map":{"a":"\udcff.safetensors"}}', "not UTF-8"),
    ],
)
def test_an_index_that_is_none(tmp_path, text, message):
    (tmp_path / INDEX).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ModelFileError) as caught:
        SafetensorsFolder.open(tmp_path)
    assert message in str(caught.value)
    assert INDEX in str(caught.value)


def test_links_must_stay_inside(sharded, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (sharded / ONE).rename(sharded / "blob")
    (sharded / ONE).symlink_to(sharded / "blob")
    assert SafetensorsFolder.open(sharded).weight("a").array.tolist() == [[1, 2]]
    (sharded / "blob").rename(elsewhere / "blob")
    with pytest.raises(ModelFileError, match="is missing or a link to nothing"):
        SafetensorsFolder.open(sharded)
    (sharded / ONE).unlink()
    (sharded / ONE).symlink_to(elsewhere / "blob")
    with pytest.raises(ModelFileError, match="outside of the model's folder"):
        SafetensorsFolder.open(sharded)
    (sharded / ONE).unlink()
    (sharded / ONE).symlink_to(sharded / ONE)
    with pytest.raises(ModelFileError, match=r"check the links|link to nothing"):
        SafetensorsFolder.open(sharded)


def test_an_index_may_not_be_a_link_out_either(sharded, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "index"
    (sharded / INDEX).rename(elsewhere)
    (sharded / INDEX).symlink_to(elsewhere)
    with pytest.raises(ModelFileError, match="outside of the model's folder"):
        SafetensorsFolder.open(sharded)


def test_folders_without_a_model(tmp_path):
    with pytest.raises(NotFoundError, match=r"holds no .safetensors files"):
        SafetensorsFolder.open(tmp_path)
    with pytest.raises(NotFoundError, match="does not exist"):
        SafetensorsFolder.open(tmp_path / "missing")
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(ModelFileError, match="is not a file"):
        SafetensorsFolder.open(tmp_path)
    (tmp_path / "a").write_text("")
    with pytest.raises(ModelFileError, match="cannot be read as a folder"):
        SafetensorsFolder.open(tmp_path / "a")
