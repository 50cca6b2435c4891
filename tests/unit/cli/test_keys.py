"""gadfly keys as a user and a program see it."""

import json

import pytest
from click.testing import CliRunner

from gadfly.cli.keys import command
from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.server.keys import KeyFile, matching


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    return tmp_path


def keys(*arguments):
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, GadflyError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_key_is_shown_once_and_known_from_then_on(home):
    text = keys("new", "anna").strip()
    made = json.loads(keys("new", "ben", "--scope", "metrics", "--scope", "chat", "--per-minute", "60", "--json"))
    stored = KeyFile(home).list()
    assert [matching(shown, stored).name for shown in (text, made["key"])] == ["anna", "ben"]
    listed = json.loads(keys("list", "--json"))
    assert [(key["name"], key["scopes"], key["per_minute"]) for key in listed] == [
        ("anna", ["chat"], None),
        ("ben", ["chat", "metrics"], 60),
    ]
    assert "60 a minute" in keys("list")
    assert not any(shown in keys("list") + keys("list", "--json") for shown in (text, made["key"], stored[0].digest))


def test_a_key_is_good_for_something_else_from_then_on(home):
    text, other = keys("new", "anna").strip(), keys("new", "ben").strip()
    assert keys("scope", "anna", "--add", "train", "--add", "chat") == "anna is good for chat, train.\n"
    assert keys("scope", "anna", "--remove", "chat") == "anna is good for train.\n"
    stored = KeyFile(home).list()
    assert (matching(text, stored).scopes, matching(other, stored).scopes) == (("train",), ("chat",))
    with pytest.raises(RequestError, match="scopes of a key are none"):
        keys("scope", "anna", "--remove", "train")
    with pytest.raises(NotFoundError, match="no key called 'carl'"):
        keys("scope", "carl", "--add", "train")


def test_a_removed_key_is_good_for_nothing(home):
    text = keys("new", "anna").strip()
    assert keys("rm", "anna") == "anna is removed.\n"
    assert matching(text, KeyFile(home).list()) is None
    assert "There are no keys" in keys("list")
    with pytest.raises(NotFoundError):
        keys("rm", "anna")


def test_what_makes_no_sense_is_refused():
    keys("new", "anna")
    for arguments in (("anna",), ("a b",), ("ben", "--per-minute", "0")):
        with pytest.raises(RequestError):
            keys("new", *arguments)
