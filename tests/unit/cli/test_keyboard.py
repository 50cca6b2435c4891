"""`gadfly.cli.terminal`, with keys pressed by a program."""

from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from gadfly.cli.terminal import Keyboard, is_complete, unwrapped

ALT_ENTER = "\x1b\r"


def read(keys: str, tmp_path: Path, draft: str = "") -> str:
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        keyboard.send_text(keys)
        return Keyboard(tmp_path / "history", lambda _: [], colour=False).read(draft)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("Really?\r", "Really?"),
        (f"one{ALT_ENTER}two\r", "one\ntwo"),
        ("one\\\rtwo\r", "one\ntwo"),
        ('"""\rone\r\rtwo\r"""\r', "one\n\ntwo"),
        ('"""one\rtwo"""\r', "one\ntwo"),
        ("\x1b[200~pasted\nlines\x1b[201~\r", "pasted\nlines"),
        ("\r", ""),
    ],
)
def test_enter_sends_what_is_complete(keys: str, text: str, tmp_path: Path):
    assert read(keys, tmp_path) == text


def test_a_draft_can_be_changed(tmp_path: Path):
    assert read("\x7f!\r", tmp_path, "Really?") == "Really!"


def test_ctrl_c_and_ctrl_d(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        read("Rea\x03", tmp_path)
    with pytest.raises(EOFError):
        read("\x04", tmp_path)


def test_history_is_kept_for_its_owner_only(tmp_path: Path):
    read("Really?\r", tmp_path / "home")
    assert (tmp_path / "home" / "history").stat().st_mode & 0o077 == 0
    assert read("\x1b[A\r", tmp_path / "home") == "Really?"


def test_without_a_place_for_it_there_is_none(tmp_path: Path):
    (tmp_path / "home").write_text("a file")
    assert read("Really?\r", tmp_path / "home") == "Really?"


@pytest.mark.parametrize(
    ("text", "complete"),
    [("", True), ("a", True), ("a\\", False), ('"""a', False), ('"""a"""', True), ('a """ b', False)],
)
def test_what_is_complete(text: str, complete: bool):
    assert is_complete(text) is complete


@pytest.mark.parametrize(
    ("text", "inner"),
    [('"""a"""', "a"), ('"""\na\n"""', "a"), ('"""', '"""'), ("a", "a"), ('say """x"""', 'say """x"""')],
)
def test_quotes_around_it_are_taken_off(text: str, inner: str):
    assert unwrapped(text) == inner


def test_a_short_answer_is_no_part_of_the_history(tmp_path: Path):
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        made = Keyboard(tmp_path / "history", lambda _: [], colour=False)
        keyboard.send_text("once\r")
        assert made.ask("Allow it? ") == "once"
    assert not (tmp_path / "history").read_bytes()
