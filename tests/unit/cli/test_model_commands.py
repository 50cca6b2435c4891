"""pull, list, show and rm as a user and a program see them."""

import importlib
import io
import json

import pytest
from click.testing import CliRunner

from gadfly.cli.first_model import choose_model
from gadfly.cli.progress import showing_progress
from gadfly.errors import GadflyError, ModelFileError, NotFoundError, RequestError, UnsupportedError
from gadfly.hub.library import Library
from gadfly.settings import load_settings
from gadfly.weights.cache import Cache, header
from hub_server import gguf, serve

BODY = gguf(100_000)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("GADFLY_HOME", str(folder))
    for name in ("GADFLY_OFFLINE", "GADFLY_MODEL", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def hub(monkeypatch):
    with serve() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        server.add_repository("owner/model", {"model-Q4_0.gguf": BODY})
        yield server


def gadfly(*arguments: str):
    """Run a command as the main program does; errors for people come out as they are raised."""
    command = importlib.import_module(f"gadfly.cli.{arguments[0]}").command
    result = CliRunner().invoke(command, arguments[1:])
    if isinstance(result.exception, GadflyError):
        raise result.exception
    return result


@pytest.mark.parametrize("name", ["pull", "list", "show", "rm"])
def test_help_has_examples(name):
    result = gadfly(name, "--help")
    assert result.exit_code == 0 and f"gadfly {name}" in result.output


def test_an_empty_library_says_what_to_do():
    assert "gadfly pull smollm2" in gadfly("list").stdout
    assert json.loads(gadfly("list", "--json").stdout) == []


@pytest.mark.usefixtures("hub")
def test_a_model_comes_is_seen_and_goes(home):
    result = gadfly("pull", "owner/model")
    assert result.stdout.startswith("model-q4_0 is here: 100 kB, fetched from http://127.0.0.1")
    assert "fetching" in result.stderr and "fetching" not in result.stdout
    assert "is here already" in gadfly("pull", "owner/model").stdout

    lines = gadfly("list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "LICENCE", "FROM"] and lines[1].startswith(
        "model-q4_0  100 kB  Apache-2.0"
    )
    shown = gadfly("show", "model-q4_0", "--check").stdout
    assert "licence       Apache-2.0" in shown and "Every file is what it was" in shown

    with pytest.raises(RequestError, match=r"removing model-q4_0 \(100 kB\) needs a yes.*--yes"):
        gadfly("rm", "model-q4_0")
    assert gadfly("rm", "model-q4_0", "--yes").stdout == "Removed model-q4_0 (100 kB).\n"
    assert not (home / "models" / "model-q4_0").exists()


@pytest.mark.usefixtures("hub")
def test_what_programs_read(home):
    pulled = json.loads(gadfly("pull", "owner/model", "--name", "mine", "--json").stdout)
    assert pulled["new"] and pulled["name"] == "mine" and pulled["size"] == 100_000
    assert pulled["path"] == str(home / "models" / "mine" / "mine.gguf")
    (listed,) = json.loads(gadfly("list", "--json").stdout)
    assert {**listed, "new": True} == {**pulled, "packed": 0}
    everything = {row["name"]: row for row in json.loads(gadfly("list", "--all", "--json").stdout)}
    assert everything["mine"]["kept"] == "file" and everything["grok-2"]["status"] == "planned"
    shown = json.loads(gadfly("show", "smollm2", "--json").stdout)
    assert shown["here"] is False and shown["licence"] == "Apache-2.0"


def test_the_catalogue_tells_what_runs_and_what_is_planned():
    lines = gadfly("list", "--all").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1] for line in lines}
    assert (rows["smollm2"], rows["grok-2"]) == ("runs", "planned")
    assert all(line == line.rstrip() and line.isprintable() for line in lines)
    assert "gadfly pull smollm2" in gadfly("show", "smollm2").stdout
    assert "cannot be run yet" in gadfly("show", "grok-2").stdout


def test_mistakes_are_errors_for_people(monkeypatch):
    with pytest.raises(NotFoundError, match="did you mean smollm2"):
        gadfly("show", "smolm2")
    with pytest.raises(NotFoundError, match="gadfly pull smollm2"):
        gadfly("rm", "smollm2", "--yes")
    with pytest.raises(UnsupportedError, match="planned"):
        gadfly("pull", "grok-2")
    with pytest.raises(NotFoundError, match="offline"):
        gadfly("pull", "smollm2", "--offline")
    monkeypatch.setenv("GADFLY_OFFLINE", "1")
    with pytest.raises(NotFoundError, match="offline"):
        gadfly("pull", "owner/model")
    assert gadfly("pull").exit_code == 2 and gadfly("rm").exit_code == 2


@pytest.mark.usefixtures("hub")
def test_a_changed_file_is_found_out(home):
    gadfly("pull", "owner/model")
    path = home / "models" / "model-q4_0" / "model-q4_0.gguf"
    path.write_bytes(b"GGUF" + BODY[5:] + b"!")
    with pytest.raises(ModelFileError, match="has changed since it came"):
        gadfly("show", "model-q4_0", "--check")
    path.unlink()
    assert f"missing: {path}" in gadfly("list").stdout


def test_half_and_damaged_models_are_reported_and_can_be_removed(home):
    for name, file in (("half", "half.gguf.part"), ("broken", "model.json")):
        (home / "models" / name).mkdir(parents=True)
        (home / "models" / name / file).write_bytes(b"GGUF")
    errors = gadfly("list").stderr
    assert "half is half here (4 bytes)" in errors and "broken/model.json is damaged" in errors
    gadfly("rm", "half", "broken", "--yes")
    assert gadfly("list").stderr == ""


def test_own_files_say_how_they_are_kept(tmp_path):
    own = tmp_path / "own.gguf"
    own.write_bytes(BODY)
    output = gadfly("pull", str(own), "--name", "mine").stdout
    assert f"{own}" in output and ("linked to" in output or "cloned from" in output)
    gadfly("rm", "mine", "--yes")
    assert own.read_bytes() == BODY


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch, key: str = "") -> Terminal:
    """A screen, and a user who will press `key`. (To be called in a test: pytest puts its own streams there before.)"""
    screen = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("click.getchar", lambda: key)
    return screen


def test_a_bar_on_a_terminal(monkeypatch):
    screen = at_a_terminal(monkeypatch)
    with showing_progress() as progress:
        progress.note("fetching [bold]x[/bold]")
        progress.advance(50, 100)
        progress.advance(100, None)
    assert "fetching [bold]x[/bold]" in screen.getvalue()


def rich_machine(monkeypatch, language: str = "de_DE.UTF-8"):
    monkeypatch.setattr("gadfly.cli.first_model.memory_here", lambda: 4_000_000_000)
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", language)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("key", "chosen"), [("j", "eurollm-1.7b"), ("n", "smollm2"), ("\x1b", "smollm2")])
def test_the_first_start_offers_the_best_model_with_one_key(home, monkeypatch, key, chosen):
    rich_machine(monkeypatch)
    screen = at_a_terminal(monkeypatch, key)
    assert choose_model(load_settings(), Library(home)) == chosen
    shown = screen.getvalue()
    assert "Für diesen Rechner empfohlen: eurollm-1.7b (1.05 GB, Apache-2.0)" in shown
    assert ("spricht nur Englisch" in shown) == (chosen == "smollm2")


def test_without_a_terminal_or_a_hub_nothing_is_asked(hub, home, monkeypatch, capsys):
    rich_machine(monkeypatch)
    assert choose_model(load_settings(), Library(home)) == "smollm2"
    assert "spricht nur Englisch" in capsys.readouterr().err and not hub.requests


def test_offline_or_out_of_reach_nothing_is_asked(home, monkeypatch):
    rich_machine(monkeypatch)
    screen = at_a_terminal(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert choose_model(load_settings(), Library(home)) == "smollm2"
    assert choose_model(load_settings({"offline": True}), Library(home)) == "smollm2"
    assert "empfohlen" not in screen.getvalue()


@pytest.mark.usefixtures("hub")
def test_what_the_user_set_or_has_is_taken_without_asking(home, monkeypatch):
    rich_machine(monkeypatch)
    at_a_terminal(monkeypatch)
    assert choose_model(load_settings({"model": "owner/x"}), Library(home)) == "owner/x"
    gadfly("pull", "owner/model", "--name", "mine")
    assert choose_model(load_settings(), Library(home)) == "mine"


def packed(home, path, size=20_000):
    """Packed weights of the model at this path, as a start leaves them."""
    file = Cache(home).file(path)
    file.parent.mkdir(parents=True)
    file.write_bytes(header(bytes(32), path).ljust(size, b"x"))
    return file


@pytest.mark.usefixtures("hub")
def test_what_is_packed_of_a_model_is_seen_and_goes_with_it(home, tmp_path):
    gadfly("pull", "owner/model")
    assert "packed" not in gadfly("list").stderr
    other = tmp_path / "other.gguf"
    other.write_bytes(BODY)
    mine, others = packed(home, Library(home).find("model-q4_0").path), packed(home, other, 30_000)
    assert "Weights packed for quick starts take 50 kB more; gadfly rm --cache" in gadfly("list").stderr
    assert [facts["packed"] for facts in json.loads(gadfly("list", "--json").stdout)] == [20_000]
    gadfly("rm", "model-q4_0", "--yes")
    assert not mine.parent.exists() and others.exists()


@pytest.mark.usefixtures("hub")
def test_the_cache_is_emptied_without_the_models(home, tmp_path):
    gadfly("pull", "owner/model")
    model = Library(home).find("model-q4_0").path
    other = tmp_path / "other.gguf"
    other.write_bytes(BODY)
    mine, others = packed(home, model), packed(home, other, 30_000)
    assert gadfly("rm", "--cache", "model-q4_0").stdout == "Removed 20 kB of packed weights.\n"
    assert not mine.exists() and others.exists()
    assert gadfly("rm", "--cache").stdout == "Removed 30 kB of packed weights.\n"
    assert not others.exists() and model.exists() and other.exists()
    with pytest.raises(NotFoundError):
        gadfly("rm", "--cache", "no-such-model")
    assert "Which model?" in gadfly("rm").stderr
