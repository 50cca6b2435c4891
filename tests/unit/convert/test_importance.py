"""Importance matrices as llama.cpp writes them, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gadfly.arch import PAGES
from gadfly.convert.convert import Wanted, convert
from gadfly.convert.importance import by_path, read_importance, write_importance
from gadfly.errors import GadflyError, ModelFileError
from gadfly.hub.progress import Silent
from gadfly.weights.gguf_writer import write_gguf

DOWN = "blk.0.ffn_down.weight"
EXPERTS = "blk.0.ffn_down_exps.weight"


def written(path: Path, sums: np.ndarray, counts: np.ndarray, name: str = DOWN) -> Path:
    tensors = {
        f"{name}.{kind}": ("F32", values.shape, np.asarray(values, np.float32))
        for kind, values in {"in_sum2": sums, "counts": counts}.items()
    }
    write_gguf(path, {"general.type": "imatrix"}, tensors)
    return path


@pytest.mark.parametrize("sums", [(8,), (1, 8)])
@pytest.mark.parametrize("counts", [(1,), (1, 1)])
def test_a_matrix_however_its_dimensions_of_one_are_kept(
    tmp_path: Path, sums: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    path = written(tmp_path / "i.gguf", np.arange(1, 9).reshape(sums) * 4, np.full(counts, 4))
    np.testing.assert_array_equal(read_importance(path)[DOWN], np.arange(1, 9, dtype=np.float32)[None])


@pytest.mark.parametrize("counts", [(3,), (3, 1), (1, 3)])
def test_experts_have_a_count_each(tmp_path: Path, counts: tuple[int, ...]) -> None:
    sums = np.array([[2, 4], [9, 3], [0, 0]])
    path = written(tmp_path / "i.gguf", sums, np.array([2, 3, 0]).reshape(counts), EXPERTS)
    np.testing.assert_array_equal(read_importance(path)[EXPERTS], np.float32([[1, 2], [3, 1], [1, 1]]))


def test_there_and_back(tmp_path: Path) -> None:
    means = {DOWN: np.float32([[1, 2, 3]]), EXPERTS: np.float32([[4, 5], [6, 7]])}
    counts = {DOWN: np.float32([8]), EXPERTS: np.float32([2, 4])}
    write_importance(tmp_path / "i.gguf", {n: means[n] * counts[n][:, None] for n in means}, counts, "a.txt")
    found = read_importance(tmp_path / "i.gguf")
    assert found.keys() == means.keys()
    for name in means:
        np.testing.assert_array_equal(found[name], means[name])


def test_names_become_paths_and_strangers_nothing() -> None:
    names = next(page for page in PAGES if page.name == "mixtral").gguf.names
    rows = np.ones((1, 4), np.float32)
    assert list(by_path({EXPERTS: rows, "strange": rows}, names)) == ["blocks.0.ffn.down"]


@pytest.mark.parametrize(
    ("sums", "counts"),
    [
        (np.ones(8), np.ones(2)),
        (np.ones((2, 8)), np.ones(3)),
        (-np.ones(8), np.ones(1)),
        (np.full(8, np.nan), np.ones(1)),
        (np.full(8, np.inf), np.ones(1)),
        (np.ones(8), np.full(1, np.nan)),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, sums: np.ndarray, counts: np.ndarray) -> None:
    with pytest.raises(ModelFileError, match="measure it again"):
        read_importance(written(tmp_path / "i.gguf", sums, counts))


def test_other_files_are_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", {}, {"a": ("F32", (1,), np.zeros(1, np.float32))})
    with pytest.raises(ModelFileError, match="no importance matrix"):
        read_importance(tmp_path / "m.gguf")
    write_gguf(tmp_path / "half.gguf", {}, {f"{DOWN}.in_sum2": ("F32", (1,), np.zeros(1, np.float32))})
    with pytest.raises(ModelFileError):
        read_importance(tmp_path / "half.gguf")


def test_it_changes_what_is_spared(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source, importance = (
        write_model("mixtral"),
        {EXPERTS: np.geomspace(1e-3, 1e3, 4 * 128, dtype=np.float32).reshape(4, 128)},
    )
    for name, given in (("with", importance), ("without", {})):
        convert(source, tmp_path / f"{name}.gguf", Wanted("q4_0", importance=given), 2, Silent())
    assert (tmp_path / "with.gguf").read_bytes() != (tmp_path / "without.gguf").read_bytes()


@pytest.mark.parametrize(("shape", "message"), [((2, 128), "measure it with this model"), ((4, 64), "128")])
def test_that_of_another_model_is_refused(
    write_model: Callable[..., Path], tmp_path: Path, shape: tuple[int, int], message: str
) -> None:
    wanted = Wanted("q4_0", importance={EXPERTS: np.ones(shape, np.float32)})
    with pytest.raises(GadflyError, match=message):
        convert(write_model("mixtral"), tmp_path / "m.gguf", wanted, 2, Silent())
