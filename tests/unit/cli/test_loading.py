"""From a name to a model: what is shown meanwhile, and what is left as it was."""

import gc
import io
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from gadfly.cli import loading
from gadfly.cli.loading import Packing, allow_disk, load_model
from gadfly.errors import ModelFileError
from gadfly.settings import load_settings

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_packing_is_shown_only_to_those_who_wait(monkeypatch, capsys):
    with ExitStack() as stack:
        packing = Packing(stack)
        packing(1, 10)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(loading, "PATIENCE", 0)
        packing(5, 10)
        packing(10, 10)
    assert capsys.readouterr().err.splitlines() == [
        "packing the weights, once, into 10 bytes of disk, so that later starts are quick (see --cache)",
        "5 bytes of 10 bytes",
        "10 bytes of 10 bytes",
    ]


def test_much_disk_is_not_taken_without_a_word(capsys):
    with ExitStack() as stack:
        Packing(stack)(0, 178 * 10**9)
    assert "into 178 GB of disk" in capsys.readouterr().err


def test_experts_are_packed_for_those_who_say_yes(monkeypatch, capsys):
    facts = Path("cache/packed"), 178 * 10**9, 300 * 10**9
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert not allow_disk(*facts)  # no terminal to ask on
    for answer in ("y", "n"):
        for name, stream in (("sys.stdin", io.StringIO(f"{answer}\n")), ("sys.stderr", io.StringIO())):
            monkeypatch.setattr(stream, "isatty", lambda: True)
            monkeypatch.setattr(name, stream)
        assert allow_disk(*facts) == (answer == "y")
        assert "into 178 GB at cache/packed, which has 300 GB free" in sys.stderr.getvalue()
    assert capsys.readouterr().out.replace(" [y/N]: ", "") == ""


@pytest.mark.parametrize(("flag", "kept"), [(None, False), (True, True), (False, False)])
def test_packed_weights_are_kept_as_the_settings_say(home, flag, kept):
    load_model(str(GROK), load_settings({"cache": flag}))
    assert bool(list((home / "cache").glob("packed/*/packed"))) == kept  # by default not of so small a model
    assert gc.isenabled()


def test_the_collector_works_again_after_an_error(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelFileError):
        load_model(str(tmp_path / "broken.gguf"), load_settings())
    assert gc.isenabled()
