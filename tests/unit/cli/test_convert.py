"""The command line of convert: sizes, refusals, what is printed."""

import json
from hashlib import sha256
from pathlib import Path

import click
import pytest

from gadfly.cli.main import main
from gadfly.cli.size import SIZE
from gadfly.testing import random_weights, tiny_spec
from gadfly.weights.gguf_writer import write_gguf


@pytest.mark.parametrize(
    ("text", "size"),
    [("120GB", 120 * 10**9), ("1.5GiB", 3 * 2**29), ("7", 7), (" 2 mb", 2_000_000), ("1KiB", 1024)],
)
def test_sizes(text: str, size: int) -> None:
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "1e9", "0", "0.1", "0GB", "9" * 400, "9" * 400 + "GB", "1PB", "nan", "٣GB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SIZE.convert(text, None, None)


@pytest.fixture
def model(tmp_path: Path) -> Path:

    from gadfly.arch import PAGES
    from gadfly.arch.describe import describe_gguf
    from gadfly.weights.export import export

    page, spec = PAGES[0], tiny_spec()
    tensors = {
        t.name: (
            "F32",
            t.shape,
            [part.rows(slice(None)).array for part in t.parts] if len(t.shape) > 1 else t.parts[0].array,
        )
        for t in export(random_weights(spec), spec, page.gguf)
    }
    write_gguf(tmp_path / "model.gguf", {"general.architecture": "llama", **describe_gguf(page, spec)}, tensors)
    return tmp_path / "model.gguf"


def test_what_came_of_it(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "q8.gguf"
    assert main(["convert", str(model), str(target), "--as", "q8_0", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["size"] == target.stat().st_size
    assert facts["sha256"] == {"q8.gguf": sha256(target.read_bytes()).hexdigest()}
    assert 8.5 < facts["bits_per_weight"] < 12
    assert main(["convert", str(target), str(tmp_path / "q4.gguf"), "--as", "q4_0"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "bits per weight (Q4_0" in said[0]
    assert "Q8_0: what was lost there" in said[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "x.gguf"], "there is no model 'nowhere' here"),
        (["{model}", "x.gguf", "--as", "int8"], "cannot hold int8; give a folder"),
        (["{model}", "x.gguf", "--as", "q9"], "there is no quantisation 'q9'"),
        (["{model}", "x.gguf", "--as", "q8_0", "--target-size", "1GB"], "exclude each other"),
        (["{model}", "x.gguf", "--target-size", "0"], "not a size"),
        (["{model}", "x.gguf", "--target-size", "1KB"], "the smallest this model can be"),
        (["{model}", "{model}"], "exists"),
        (["{model}", "."], "exists"),
        (["{model}", "n" * 300 + ".gguf"], "File name too long"),
        (["{model}", "{model}/x.gguf"], "Not a directory"),
        (["{model}", "x.gguf", "--importance", "{model}"], "no importance matrix"),
    ],
)
def test_what_cannot_be_is_one_line(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *(argument.format(model=model) for argument in arguments)]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "bug" not in said.err
    assert not said.out
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
