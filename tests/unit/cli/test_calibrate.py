"""gadfly calibrate as a user and a program see it; and what is measured makes a conversion better."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gadfly.cli.calibrate import command
from gadfly.cli.new import command as new
from gadfly.convert.calibrate import Calibration
from gadfly.convert.convert import Wanted, convert
from gadfly.convert.importance import read_importance
from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.hub.progress import Silent
from gadfly.ops.reference import Reference
from gadfly.text import Tokenizer
from gadfly.weights.load import open_model

TEXT = "Socrates was one. " * 40


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(TEXT)


@pytest.fixture
def model():
    sizes = ("--dim", "64", "--layers", "2", "--experts", "4", "--context", "128")
    made = CliRunner().invoke(new, ["m", "--arch", "mixtral", "--tokenizer", "bytes", *sizes])
    assert made.exit_code == 0, made.output
    return "m"


def calibrate(*arguments):
    result = CliRunner().invoke(command, list(arguments))
    if isinstance(result.exception, GadflyError):
        raise result.exception
    return result


def test_help_has_examples():
    assert "gadfly calibrate smollm2 book.txt --out" in calibrate("--help").output


def test_it_measures_and_says_what_to_do_next(model):
    result = calibrate(model, "a.txt", "--out", "i.gguf", "--context", "64", "--tokens", "200")
    said = result.stdout.splitlines()
    assert said[0] == "i.gguf: the importance of 17 matrices, from 200 tokens."
    assert said[-1] == "Use it: gadfly convert m small.gguf --as q3_k --importance i.gguf"
    assert "200 bytes of 200 bytes" in result.stderr
    importance = read_importance(Path("i.gguf"))
    assert importance["blk.1.ffn_down_exps.weight"].shape == (4, open_model("m").spec.blocks[0].ffn.hidden)
    ids = Tokenizer.from_file("m/tokenizer.json").encode(TEXT)[:200]
    calibration = Calibration(open_model("m"))
    list(calibration.read([ids[:64], ids[64:128], ids[128:192], ids[192:]]))
    for path, name in (("blocks.0.mixer.key", "blk.0.attn_k.weight"), ("output", "token_embd.weight")):
        np.testing.assert_allclose(importance[name] * 200, calibration.measured.sums[path], rtol=1e-5)


def test_what_programs_read(model):
    measured = json.loads(calibrate(model, "a.txt", "a.txt", "--out", "i.gguf", "--json").stdout)
    assert measured == {
        "path": "i.gguf",
        "tokens": 2 * len(TEXT),
        "matrices": 17,
        "stopped": False,
        "experts": 8,
        "unseen_experts": measured["unseen_experts"],
    }


def interrupted(self, chunks):
    """Reads two chunks."""
    for number, step in enumerate(READ(self, chunks)):
        yield step
        if number == 1:
            raise KeyboardInterrupt


def interrupted_at_once(*_):
    raise KeyboardInterrupt


READ = Calibration.read


def test_ctrl_c_keeps_what_was_measured(model, monkeypatch):
    monkeypatch.setattr("gadfly.convert.observe.STEP_TOKENS", 64)
    monkeypatch.setattr(Calibration, "read", interrupted)
    result = calibrate(model, "a.txt", "--out", "i.gguf", "--context", "64")
    assert "from 128 tokens" in result.stdout and "Stopped" in result.stderr
    assert result.exit_code == 0 and Path("i.gguf").exists()


def test_ctrl_c_before_that_writes_nothing_and_says_so(model, monkeypatch):
    monkeypatch.setattr(Calibration, "read", interrupted_at_once)
    result = calibrate(model, "a.txt", "--out", "i.gguf")
    assert "i.gguf was not written" in result.stderr and result.exit_code == 1
    assert not Path("i.gguf").exists()


def test_mistakes_are_one_line(model):
    for arguments, kind, message in (
        (("nothing", "a.txt", "--out", "i.gguf"), NotFoundError, "there is no model 'nothing' here"),
        ((model, "b.txt", "--out", "i.gguf"), NotFoundError, r"b\.txt cannot be read: No such file"),
        ((model, "m/model.safetensors", "--out", "i.gguf"), RequestError, "is no text in UTF-8"),
        ((model, "a.txt", "--out", "a.txt"), RequestError, r"a\.txt exists"),
    ):
        with pytest.raises(kind, match=message):
            calibrate(*arguments)
    Path("empty.txt").write_text("")
    with pytest.raises(RequestError, match=r"there is no text in empty\.txt"):
        calibrate(model, "empty.txt", "--out", "i.gguf")
    assert CliRunner().invoke(new, ["ids", "--dim", "64"]).exit_code == 0
    with pytest.raises(RequestError, match="ids has no tokenizer"):
        calibrate("ids", "a.txt", "--out", "i.gguf")
    assert calibrate(model, "--out", "i.gguf").exit_code == 2 and calibrate(model, "a.txt").exit_code == 2
    assert not Path("i.gguf").exists()


def test_errors_that_matter_become_smaller(model):
    """Of what a quantised matrix makes of activations like those that were measured."""
    calibrate(model, "a.txt", "--out", "i.gguf")
    importance = read_importance(Path("i.gguf"))
    exact = Reference().place(open_model("m").weights["blocks.1.ffn.down"])
    errors = []
    for name, known in (("without", {}), ("with", importance)):
        convert(Path("m"), Path(f"{name}.gguf"), Wanted("q4_0", pure=True, importance=known), 1, Silent())
        found = Reference().place(open_model(f"{name}.gguf").weights["blocks.1.ffn.down"])
        errors.append((np.square(found - exact) * importance["blk.1.ffn_down_exps.weight"][:, None]).sum())
    assert errors[1] < 0.95 * errors[0]
