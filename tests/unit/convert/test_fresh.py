"""New models open wherever models do, are what was asked for, and are the same for the same seed."""

import errno
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gadfly
from gadfly.arch import PAGES
from gadfly.convert import fresh
from gadfly.convert.fresh import write_fresh
from gadfly.convert.sizes import Sizes, draw_up, pattern_of, plain_pattern
from gadfly.errors import CapacityError, ModelFileError
from gadfly.weights.load import open_model
from gadfly.weights.safetensors_folder import SafetensorsFolder

SMALL = Sizes(dim=64, layers=2, vocab=80, context=64)
WIDE = Sizes(dim=96, layers=3, heads=6, kv_heads=2, head_dim=24, hidden=64, vocab=50, context=32)
IDS = [3, 1, 4, 1, 5, 9, 2, 6]


def made(folder, name, sizes=SMALL, seed=0, format_name="BF16", tied=True, others=None, seen=None):
    pattern = plain_pattern(name)
    spec = draw_up(pattern, sizes)
    seen = [] if seen is None else seen
    size = write_fresh(
        folder, pattern.page, spec, seed, format_name, tied, others or {}, lambda *step: seen.append(step)
    )
    return spec, size


def digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.rglob("*")))).hexdigest()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(("sizes", "tied"), [(SMALL, True), (WIDE, False)])
def test_every_architecture_runs_on_both_backends(tmp_path, page, sizes, tied):
    spec, size = made(tmp_path / "model", page.name, sizes, tied=tied)
    model = open_model(tmp_path / "model")
    assert model.page is page and model.spec == spec
    assert (model.weights["output"] is model.weights["embedding"]) == tied
    assert size == pytest.approx(sum(path.stat().st_size for path in (tmp_path / "model").iterdir()), abs=20_000)
    exact = gadfly.load(tmp_path / "model", backend="reference").logits(IDS)
    assert np.isfinite(exact).all() and 0.2 < exact.std() < 2
    native = gadfly.load(tmp_path / "model", threads=1).logits(IDS)
    assert np.sqrt(np.mean(np.square(native - exact))) < 0.1 * exact.std()


def test_the_same_seed_makes_the_same_file(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        made(tmp_path / name, "mixtral", seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_numbers_do_not_depend_on_chunks_files_or_layers(tmp_path, monkeypatch):
    made(tmp_path / "a", "grok1", format_name="F32")
    monkeypatch.setattr(fresh, "CHUNK", 1000)
    made(tmp_path / "b", "grok1", format_name="F32")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    made(tmp_path / "c", "grok1", replace(SMALL, vocab=90), format_name="F32")
    one, other = (SafetensorsFolder.open(tmp_path / name) for name in "ac")
    name = "model.layers.1.self_attn.q_proj.weight"
    np.testing.assert_array_equal(one.array(name), other.array(name))


def test_deviations_norms_and_routers(tmp_path):
    spec, _ = made(tmp_path / "model", "grok1", replace(SMALL, dim=256, layers=2), format_name="BF16")
    weights = open_model(tmp_path / "model").weights
    from gadfly.ops.reference import Reference

    placed = weights.map(Reference().place)
    for path, shape in spec.shapes():
        values = placed[path]
        if len(shape) == 1:
            assert (values == 1).all()
        else:
            added = path.endswith(("mixer.output", "down"))
            assert values.std() == pytest.approx(shape[-1] ** -0.5 * (0.5 if added else 1), rel=0.05)
    files = SafetensorsFolder.open(tmp_path / "model")
    dtypes = {name: tensor.dtype for name, tensor in files.tensors.items()}
    assert {dtype for name, dtype in dtypes.items() if name.endswith("block_sparse_moe.gate.weight")} == {"F32"}
    assert set(dtypes.values()) == {"F32", "BF16"}


def test_another_is_like_it(tmp_path):
    spec, _ = made(tmp_path / "model", "mixtral", WIDE, tied=False)
    pattern = pattern_of(tmp_path / "model")
    assert pattern.page.name == "mixtral" and not pattern.tied
    assert draw_up(pattern, Sizes()) == spec
    deeper = draw_up(pattern, Sizes(layers=5, experts=3))
    assert len(deeper.blocks) == 5 and deeper.blocks[0].ffn.experts == 3
    assert deeper.blocks[0].mixer == spec.blocks[0].mixer


def test_progress_counts_every_byte(tmp_path):
    seen: list[tuple[int, int]] = []
    _, size = made(tmp_path / "model", "llama", others={"tokenizer.json": b"{}"}, seen=seen)
    done = [step[0] for step in seen]
    assert done == sorted(done) and seen[-1][0] == seen[-1][1] < size
    assert (tmp_path / "model" / "tokenizer.json").read_bytes() == b"{}"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("!")
    with pytest.raises(ModelFileError, match="exists and is not empty"):
        made(tmp_path / "model", "llama")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "mine"]


def test_a_disk_that_is_too_small_is_found_out_before(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(CapacityError, match="make room"):
        made(tmp_path / "model", "llama")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fresh, "normal", full)
    with pytest.raises(CapacityError, match="make room"):
        made(tmp_path / "model", "llama")
    assert not list(tmp_path.iterdir())
