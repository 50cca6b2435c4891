"""Files that are prepared for streaming: the same model to the bit, with nothing left to be packed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gadfly
from gadfly.cli.main import gadfly as command
from gadfly.convert.convert import Wanted, convert
from gadfly.errors import ModelFileError, RequestError
from gadfly.hub.progress import Silent
from gadfly.weight import Packed, unstack
from gadfly.weights.gguf import GGUF
from gadfly.weights.load import open_model
from gadfly.weights.packed import PAGE

from .conftest import GROK, Watched
from .test_convert import counted

IDS = [5, 9, 200, 31, 7, 7, 99, 1]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def prepare(source: Path, target: Path, **wanted: object) -> Path:
    convert(source, target, Wanted(streaming=True, **wanted), threads=2, progress=Silent())
    return target


def logits(path: Path, **options: object) -> np.ndarray:
    return gadfly.load(path, **{"threads": 2, **options}).logits(IDS)


@pytest.mark.parametrize("name", ["f32", "bf16", "q8_0", "q4_0", "q4_k", "q3_k"])
@pytest.mark.parametrize("page", ["llama", "mixtral"])
def test_what_is_quantised_keeps_its_numbers_wherever_weights_live(
    write_model: Callable[..., Path], tmp_path: Path, home: Path, page: str, name: str
) -> None:
    ordinary = tmp_path / "ordinary.gguf"
    convert(write_model(page, dim=256), ordinary, Wanted(name), threads=2, progress=Silent())
    quantised = name not in ("f32", "bf16")
    prepared = prepare(ordinary, tmp_path / "prepared.gguf", **({} if quantised else {"format": name}))
    expected = logits(ordinary, cache=False, experts="resident")
    for place in (None, "resident", "streamed", "mapped"):
        np.testing.assert_array_equal(logits(prepared, experts=place), expected)
    assert not (home / "cache").exists()
    decoded = logits(ordinary, backend="reference")
    np.testing.assert_allclose(logits(prepared, backend="reference"), decoded, atol=1e-6)


@pytest.mark.parametrize("name", ["int8", "q4_0"])
def test_a_release_in_one_step(tmp_path: Path, home: Path, name: str) -> None:
    prepared = prepare(GROK, tmp_path / "grok.gguf", format=name)
    if name == "int8":
        expected = logits(GROK, experts="resident")
    else:
        convert(GROK, ordinary := tmp_path / "ordinary.gguf", Wanted(name), threads=2, progress=Silent())
        expected = logits(ordinary, experts="resident")
    llm = gadfly.load(prepared, experts="streamed", threads=2)
    np.testing.assert_array_equal(llm.logits(IDS), expected)
    assert llm.reads() is not None and llm.reads().missing > 0
    assert "cache" not in llm.notes[0]
    assert not (home / "cache").exists()


def test_every_matrix_is_whole_pages(tmp_path: Path) -> None:
    prepared = prepare(GROK, tmp_path / "grok.gguf", format="q8_0")
    assert prepared.stat().st_size % PAGE == 0
    model = open_model(prepared)
    for path, shape in model.spec.shapes():
        for part in unstack(model.weights[path]) if len(shape) > 1 else ():
            assert isinstance(part, Packed)
            assert part.offset % PAGE == 0
            assert part.packed.tobytes() == prepared.read_bytes()[part.offset : part.offset + part.size]
    with GGUF.open(prepared) as file:
        assert file.metadata["general.alignment"] == PAGE
        assert file.metadata["general.architecture"] == "grok"


@pytest.mark.parametrize("form", ["q4_k", "f32"])
def test_an_interrupted_one_goes_on_where_it_stopped(
    write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    source, target = write_model("mixtral", dim=256), tmp_path / "model.gguf"
    whole = prepare(source, tmp_path / "whole.gguf", format=form).read_bytes()
    monkeypatch.setattr("gadfly.convert.write.CHECKPOINT", 50_000)
    monkeypatch.setattr("gadfly.convert.write.STRETCH", 10_000)
    encode, calls = counted(monkeypatch, fail_after=200)
    with pytest.raises(ModelFileError, match="enough"):
        prepare(source, target, format=form)
    calls[0], calls[1] = 0, 10**9
    prepare(source, target, format=form)
    again = calls[0]
    assert target.read_bytes() == whole
    calls[0] = 0
    target.unlink()
    prepare(source, target, format=form)
    assert again < calls[0] - 100
    assert encode is not None


def test_a_target_size_is_kept_and_the_size_is_told_before(
    write_model: Callable[..., Path], tmp_path: Path, watched: Watched
) -> None:
    source, target = write_model("mixtral", dim=256), tmp_path / "model.gguf"
    done = convert(source, target, Wanted(size=3_000_000, streaming=True), 2, watched)
    assert 2_500_000 < target.stat().st_size == done.size <= 3_000_000
    assert watched.notes[0] == "writing 3.0 MB" or watched.notes[0].startswith("writing 2.")
    assert logits(target).shape


def test_what_cannot_be_is_refused(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model("mixtral", dim=256)
    with pytest.raises(RequestError, match=r"is a \.gguf file"):
        prepare(source, tmp_path / "folder")
    with pytest.raises(RequestError, match="no int8 weights"):
        prepare(source, tmp_path / "a.gguf", format="int8")
    prepared = prepare(source, tmp_path / "prepared.gguf")
    with pytest.raises(RequestError, match="prepared for streaming already"):
        prepare(prepared, tmp_path / "b.gguf")


def test_the_way_back_is_an_ordinary_file(write_model: Callable[..., Path], tmp_path: Path) -> None:
    source = write_model("mixtral", dim=256)
    prepared = prepare(source, tmp_path / "prepared.gguf", format="f32")
    convert(prepared, back := tmp_path / "back.gguf", Wanted("f32"), 2, Silent())
    convert(source, direct := tmp_path / "direct.gguf", Wanted("f32"), 2, Silent())
    np.testing.assert_array_equal(logits(back), logits(direct))
    assert "gadfly.packed" not in open_model(back).metadata


def test_the_command(write_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model("mixtral", dim=256)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(command, ["convert", "model", "out.gguf", "--as", "q4_0", "--for", "streaming", "--json"])
    assert said.exit_code == 0, said.output
    facts = json.loads(said.stdout)
    assert facts["size"] == Path("out.gguf").stat().st_size
    assert facts["formats"]["Q4_0"]
    shown = CliRunner().invoke(command, ["inspect", "out.gguf"])
    assert shown.exit_code == 0, shown.output
    assert "4 experts of 512" in shown.output
    assert CliRunner().invoke(command, ["pull", "x", "--for", "streaming"]).exit_code == 2
