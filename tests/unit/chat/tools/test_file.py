"""tools.toml: what may stand in it, and how it is changed."""

import stat
import threading
from pathlib import Path

import pytest

from gadfly.chat.tools.file import ToolFile, ToolSettings
from gadfly.chat.tools.server import ToolServer, read_server
from gadfly.errors import NotFoundError, RequestError, SettingsError

CLOCK = ToolServer("clock", ("python3", "clock.py"), folder="/", env={"TZ": "UTC"})
WEB = ToolServer("web", searxng="http://localhost:8888")
FAR = ToolServer("far", url="https://example.org/mcp", headers={"Authorization": "Bearer x"}, seconds=5.0)


def test_nothing_is_there_by_itself(tmp_path: Path) -> None:
    file = ToolFile(tmp_path / "not" / "yet")
    assert file.read() == ToolSettings() and file.allowed("gadfly") == ()


def test_what_was_added_is_read_and_only_its_owner_can(tmp_path: Path) -> None:
    file = ToolFile(tmp_path / "home")
    for server in (CLOCK, WEB, FAR):
        file.add(server)
    file.allow("gadfly", ["web", "clock/now"])
    assert file.read() == ToolSettings({"clock": CLOCK, "web": WEB, "far": FAR}, {"gadfly": ("web", "clock/now")})
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    with pytest.raises(RequestError, match="tools called web already"):
        file.add(WEB)


def test_removing_takes_it_from_personas_too(tmp_path: Path) -> None:
    file = ToolFile(tmp_path)
    file.add(CLOCK)
    file.add(WEB)
    file.allow("gadfly", ["web", "clock/now", "clock"])
    file.remove("clock")
    assert file.read() == ToolSettings({"web": WEB}, {"gadfly": ("web",)})
    for act in (lambda: file.remove("clock"), lambda: file.allow("gadfly", ["clock/now"])):
        with pytest.raises(NotFoundError, match="gadfly tools list"):
            act()


def test_comments_stay(tmp_path: Path) -> None:
    file = ToolFile(tmp_path)
    file.path.write_text('# mine\n[servers.web]\nsearxng = "http://localhost:1" # here\n')
    file.add(CLOCK)
    text = file.path.read_text()
    assert "# mine" in text and "# here" in text and "clock.py" in text


def test_two_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    def add(name: str) -> None:
        ToolFile(tmp_path).add(ToolServer(name, searxng="http://localhost:1"))

    threads = [threading.Thread(target=add, args=(f"web{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ToolFile(tmp_path).read().servers) == 8


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("servers = 7", "servers is 7"),
        ("[server.web]", "no 'server'"),
        ("[servers.web]", "has no address"),
        ("[servers.Web]\nurl = 'http://a'", "no name for tools"),
        ("[servers.web]\nurl = 'http://a'\nsearxng = 'http://b'", "url and searxng"),
        ("[servers.web]\nurl = 'ftp://a'", "expected an address"),
        ("[servers.web]\nurl = 'http://anna:secret@a'", "expected an address"),
        ("[servers.web]\nurl = 'http://[::1'", "expected an address"),
        ("[servers.web]\nurl = 'http://a:0'", "expected an address"),
        ("[servers.web]\nurls = 'http://a'", "did you mean url"),
        ("[servers.web]\nurl = 'http://a'\nenv = {}", "env is for tools with a command"),
        ("[servers.web]\nurl = 'http://a'\nheaders = { 'a b' = 'c' }", "expected a table of names"),
        ("[servers.web]\nurl = 'http://a'\nheaders = { a = \"b\\r\\nc: d\" }", "expected a table of names"),
        ("[servers.web]\nurl = 'http://a'\nseconds = 0", "from 0.1 to 3600"),
        ("[servers.web]\nurl = 'http://a'\nseconds = true", "from 0.1 to 3600"),
        ("[servers.web]\ncommand = 'ls -l'", "expected a list"),
        ("[servers.web]\ncommand = []", "expected a list"),
        ('[servers.web]\ncommand = ["a\\u0000b"]', "expected a list"),
        ("[servers.web]\ncommand = ['a']\nfolder = 'here'", "the path of a folder"),
        ("[servers.web]\ncommand = ['a']\nenv = { 'A B' = 'c' }", "expected a table of names"),
        ("[servers]\nweb = 7", "servers.web is 7"),
        ("[personas]\ngadfly = 'web'", "expected a list such as"),
        ("[personas]\ngadfly = ['Web!']", "expected a list such as"),
        ("[personas]\ngadfly = [7]", "expected a list such as"),
        ("[[[", "cannot be read as TOML"),
        ("a = " + "[" * 100_000, "cannot be read as TOML"),
        ("# " + "x" * 1_000_000, "larger than"),
    ],
)
def test_what_makes_no_sense_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    file = ToolFile(tmp_path)
    file.path.write_text(text)
    with pytest.raises(SettingsError, match=r"tools\.toml.*" + says.replace("(", r"\(")):
        file.read()
    with pytest.raises(SettingsError):
        file.add(WEB)
    assert file.path.read_text() == text


def test_bytes_that_are_no_text_and_folders_are_errors(tmp_path: Path) -> None:
    file = ToolFile(tmp_path)
    file.path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="cannot be read as TOML"):
        file.read()
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        file.read()
    with pytest.raises(SettingsError, match="cannot be written"):
        ToolFile(Path("/dev/null")).add(WEB)


def test_a_server_that_is_not_valid_is_not_written(tmp_path: Path) -> None:
    file = ToolFile(tmp_path)
    with pytest.raises(SettingsError, match="expected an address"):
        file.add(ToolServer("web", searxng="nowhere"))
    assert not file.path.exists()


def test_what_people_see_of_a_server_hides_secrets() -> None:
    assert FAR.place == "https://example.org/mcp" and FAR.kind == "url"
    assert CLOCK.place == "python3 clock.py" and WEB.place == "http://localhost:8888"
    for server in (CLOCK, WEB, FAR):
        assert read_server(server.name, server.table, "here") == server
