"""gadfly tools as a user and a program see it."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gadfly.chat.tools.file import ToolFile
from gadfly.cli.tools import command
from gadfly.errors import GadflyError, NotFoundError, RequestError, SettingsError, ToolError

RUDE = str(Path(__file__).parents[2] / "tool_servers" / "rude.py")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    return tmp_path


def tools(*arguments, code=0):
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, GadflyError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_a_program_is_added_with_folder_and_environment(home, monkeypatch):
    monkeypatch.setenv("TOKEN", "hush")
    monkeypatch.chdir(home)
    said = tools("add", "notes", "--env", "TOKEN", "--env", "A=b=c", "--seconds", "5", "--", "python3", "-c", "pass")
    assert "gadfly tools test notes" in said
    server = ToolFile(home).read().servers["notes"]
    assert server.command == ("python3", "-c", "pass") and server.folder == str(home)
    assert server.env == {"TOKEN": "hush", "A": "b=c"} and server.seconds == 5
    assert "hush" not in tools("list") + tools("list", "--json")
    assert "for nobody yet" in tools("list")


def test_addresses_are_added_and_removed(home):
    assert "There are no tools" in tools("list")
    tools("add", "wiki", "--url", "https://example.org/mcp", "--header", "Authorization=Bearer x")
    tools("add", "web", "--searxng", "http://localhost:8888")
    assert ToolFile(home).read().servers["wiki"].headers == {"Authorization": "Bearer x"}
    listed = json.loads(tools("list", "--json"))
    assert [(one["name"], one["kind"], one["place"]) for one in listed] == [
        ("wiki", "url", "https://example.org/mcp"),
        ("web", "searxng", "http://localhost:8888"),
    ]
    tools("remove", "wiki", "web")
    with pytest.raises(NotFoundError):
        tools("remove", "wiki")


def test_personas_are_allowed_and_forbidden():
    tools("add", "web", "--searxng", "http://localhost:8888")
    assert tools("allow", "gadfly", "web", "web/search", "web") == "gadfly may use web, web/search.\n"
    assert json.loads(tools("list", "--json"))[0]["personas"] == {"gadfly": ["web", "web/search"]}
    assert tools("forbid", "gadfly", "web") == "gadfly may use web/search.\n"
    with pytest.raises(RequestError, match="may use web/search, and not 'web'"):
        tools("forbid", "gadfly", "web")
    assert tools("forbid", "gadfly") == "gadfly may use no tools.\n"
    for arguments in (("allow", "nobody", "web"), ("allow", "gadfly", "wob")):
        with pytest.raises(NotFoundError):
            tools(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("x",),
        ("X", "--url", "http://a"),
        ("x", "--url", "a"),
        ("x", "--url", "http://a", "--searxng", "http://b"),
        ("x", "--url", "http://a", "--header", "A"),
        ("x", "--env", "NOT_SET_ANYWHERE", "--", "a"),
        ("x", "--url", "http://a", "--env", "A=b"),
    ],
)
def test_what_makes_no_sense_is_refused(home, arguments):
    with pytest.raises((SettingsError, RequestError)):
        tools("add", *arguments)
    assert not ToolFile(home).path.exists()


def test_a_test_shows_tools_and_what_is_wrong_with_them():
    tools("add", "rude", "--", sys.executable, RUDE, "polite")
    said = tools("test", "rude")
    assert "rude/poke  Poke it." in said and "1 tool in" in said
    tools("add", "liar", "--", sys.executable, RUDE, "liar")
    told = json.loads(tools("test", "liar", "--json", code=1))
    assert [tool["name"] for tool in told["tools"]] == ["twice", "sly"] and len(told["problems"]) == 7
    assert "! liar: " in tools("test", "liar", code=1)
    tools("add", "gone", "--searxng", "http://127.0.0.1:9")
    with pytest.raises(ToolError, match="cannot be reached"):
        tools("test", "gone")
    with pytest.raises(RequestError, match="gadfly tools list"):
        tools("test", "nothing")
