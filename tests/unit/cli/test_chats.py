"""gadfly chats as a user and a program see it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gadfly.chat.store import Provenance, Store
from gadfly.cli.chats import command
from gadfly.conversation import Message
from gadfly.errors import GadflyError, NotFoundError, RequestError
from unit.chat.imports.exports_of_others import CHATGPT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    store = Store(home / "chats.sqlite")
    for title, text in (("Insects", "the gadfly"), ("Evil \x1b]0;owned\x07", "a wasp \x1b[2J")):
        chat = store.create("", title).id
        asked = store.say("", chat, None, Message("user", text))
        for number in range(2):
            store.begin("", chat, asked.id, Provenance(persona="gadfly")).finish(Message("assistant", f"said {number}"))
    store.create("anna", "Hers")
    yield store
    store.close()


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, GadflyError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.mark.usefixtures("store")
class TestReading:
    def test_list(self):
        lines = run("list").stdout.splitlines()
        assert [line.split("  ")[-1].strip() for line in lines] == ["Evil ]0;owned", "Insects"]
        assert [chat["title"] for chat in json.loads(run("list", "--json").stdout)][1] == "Insects"
        assert "Hers" in run("--owner", "anna", "list").stdout
        assert run("list", "--limit", "1").stdout.count("\n") == 1
        assert "none" in run("list", "--state", "deleted").stderr

    def test_show(self, store: Store):
        shown = run("show", "insects").stdout
        assert shown == "Insects\n\nYou: the gadfly\n\nGadfly 2/2: said 1\n\n"
        assert "Gadfly 1/2: said 0" in run("show", "insects", "--all").stdout
        chat = store.search("", "insects")[0].chat
        table = json.loads(run("show", chat.id[:6], "--json").stdout)
        assert (table["chat"]["id"], len(table["nodes"])) == (chat.id, 2)

    def test_search(self):
        assert "the gadfly" in run("search", "gadf").stdout
        assert json.loads(run("search", "gadf", "--json").stdout)[0]["chat"]["title"] == "Insects"
        assert json.loads(run("search", "nothing", "--json", code=1).stdout) == []

    def test_what_strangers_wrote_gives_no_orders_to_a_terminal(self):
        for arguments in (("list",), ("show", "evil"), ("search", "wasp")):
            output = run(*arguments).output
            assert "owned" in output
            assert "\x1b" not in output
            assert "\x07" not in output

    def test_what_does_not_fit_or_fits_twice_is_explained(self):
        with pytest.raises(NotFoundError, match="gadfly chats list"):
            run("show", "nothing")
        with pytest.raises(RequestError, match="several chats"):
            run("show", "said")


@pytest.mark.usefixtures("store")
class TestExporting:
    def test_to_stdout_or_a_file(self, tmp_path: Path):
        assert run("export", "insects").stdout.startswith("# Insects\n")
        run("export", "--format", "messages", "--out", str(tmp_path / "all.jsonl"))
        lines = (tmp_path / "all.jsonl").read_text().splitlines()
        assert [json.loads(line)["title"] for line in lines][1] == "Insects"
        with pytest.raises(RequestError, match="exists already"):
            run("export", "--out", str(tmp_path / "all.jsonl"))

    def test_pairs(self, store: Store):
        chat = store.search("", "insects")[0].chat.id
        store.feedback("", chat, store.open("", chat).path[-1].id, corrected="better")
        done = run("export", "--format", "pairs")
        assert (done.stdout, done.stderr) == (
            "", "1 pairs are left out, as training on them is unknown (--licences)\n",
        )  # fmt: skip
        done = run("export", "--format", "pairs", "--licences", "all")
        assert json.loads(done.stdout)["chosen"][0]["content"] == "better"
        assert "name none" in run("export", "insects", "--format", "pairs", code=2).output

    def test_thumbs_in_no_pair(self, store: Store):
        chat = store.search("", "insects")[0].chat.id
        store.feedback("", chat, store.open("", chat).path[-1].id, 1)
        assert run("export", "--format", "pairs", "--licences", "all").stdout == ""
        assert json.loads(run("export", "--format", "thumbs", "--licences", "all").stdout)["label"] is True
        assert "1 thumbs are left out" in run("export", "--format", "thumbs").stderr


class TestImporting:
    def test_what_came_and_what_did_not(self, home: Path):
        (home / "conversations.json").write_text(json.dumps(CHATGPT))
        done = run("import", str(home / "conversations.json"))
        assert done.stdout == "1 conversations taken in (chatgpt).\n"
        assert "conversation 2 'Broken': mapping is []; expected an object" in done.stderr
        again = json.loads(run("import", str(home / "conversations.json"), "--json", code=1).stdout)
        assert (again["taken"], again["skipped"][0]["why"]) == (0, "is here already")

    def test_a_file_that_is_none(self, home: Path):
        (home / "x").write_bytes(b"\xff" * 100)
        run("import", str(home / "x"), code=1)
        assert isinstance(CliRunner().invoke(command, ["import", str(home / "y")]).exception, FileNotFoundError)


@pytest.mark.usefixtures("store")
class TestUpkeep:
    def test_backup(self, home: Path):
        run("backup", str(home / "copy.sqlite"))
        copy = Store(home / "copy.sqlite")
        assert len(copy.chats("").chats) == 2
        copy.close()

    def test_check(self, store: Store):
        assert run("check").stdout == "All is well.\n"
        with store.writing() as connection:
            connection.execute("UPDATE message SET content = 'changed' WHERE id = 1")
        assert "message 1 is not what was stored" in run("check", code=1).stdout
        assert len(json.loads(run("check", "--json", code=1).stdout)) >= 1
