"""What every command has in common."""

import importlib
import os
import subprocess
import sys
from types import ModuleType

import click
import pytest

from gadfly.cli.main import COMMANDS, Entry, main
from gadfly.errors import ContextError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):
    """Make `gadfly try` do what a test wants."""

    def install(action) -> None:
        module = ModuleType("gadfly_try")
        module.command = click.command("try")(action)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gadfly_try", module)
        monkeypatch.setitem(COMMANDS, "try", Entry("Talk", "gadfly_try", "For tests."))

    return install


def raising(error: BaseException):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ContextError("too long\nby far"), 2, "gadfly: too long by far\n"),
        (ContextError("title \x1b]0;owned\x07"), 2, "gadfly: title ]0;owned\n"),
        (PermissionError(13, "Permission denied", "/root/x"), 2, "gadfly: /root/x: Permission denied\n"),
        (MemoryError(), 2, "gadfly: memory ran out"),
        (ZeroDivisionError("by nothing"), 1, "this is a bug: ZeroDivisionError: by nothing"),
        (click.UsageError("Not like this."), 2, "Not like this."),
        (click.exceptions.Exit(1), 1, ""),
        (click.Abort(), 130, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_one_line_on_stderr(error: BaseException, code: int, says: str, command, capsys):
    command(raising(error))
    assert main(["try"]) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_debug_shows_where(command, capsys, monkeypatch: pytest.MonkeyPatch):
    command(raising(ContextError("too long")))
    assert main(["--debug", "try"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("GADFLY_DEBUG", "1")
    assert main(["try"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_what_a_command_prints_is_whole_and_the_code_is_0(command, capsys):
    command(lambda: click.echo("done"))
    assert main(["try"]) == 0
    assert capsys.readouterr().out == "done\n"


def test_an_unknown_command_is_a_usage_error(capsys):
    assert main(["chatt"]) == 2
    assert "chatt" in capsys.readouterr().err


def python(program: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, **options)


def test_help_and_version_load_nothing_heavy():
    heavy = "{'rich', 'prompt_toolkit', 'numpy', 'httpx2', 'jinja2', 'tokenizers', 'gadfly.llm'}"
    done = python(
        "import sys; from gadfly.cli.main import main; main(['--help']); "
        f"print({heavy} & sys.modules.keys(), file=sys.stderr)"
    )
    assert done.stderr == "set()\n"
    assert "Talk with a model in the terminal." in done.stdout


def test_a_reader_that_leaves_is_no_error():
    program = "from gadfly.cli.main import main; import sys; sys.exit(main(['list', '--all']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_helps_with_examples(name: str, capsys):
    command = importlib.import_module(COMMANDS[name].module).command
    assert command.name == name
    assert main([name, "--help"]) == 0
    help_text = capsys.readouterr().out
    assert f"gadfly {name} " in help_text.split("\n", 1)[1] or f"gadfly {name}\n" in help_text
