"""gadfly: the command. Which commands there are, and what a user sees when something goes wrong.

A command is a module with a click command called `command`; it is imported when it is used and not before, so that
`gadfly --help` answers at once. Exit codes: 0 done, 1 a no, a reader that left or a bug of ours, 2 something was wrong
with what was asked, 130 stopped with Ctrl-C.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import click

from gadfly.cli.printable import printable
from gadfly.errors import GadflyError

__all__ = ["gadfly", "main"]


@dataclass(frozen=True)
class Entry:
    """A command in the list: shown under `topic`; `help` is the first sentence of its own help."""

    topic: str
    module: str
    help: str


COMMANDS = {
    "chat": Entry("Talk", "gadfly.cli.chat", "Talk with a model in the terminal."),
    "run": Entry("Talk", "gadfly.cli.run", "Answer one prompt on stdout."),
    "chats": Entry(
        "Talk", "gadfly.cli.chats", "List, show, find, export, import, back up and check the conversations kept here."
    ),
    "tools": Entry("Talk", "gadfly.cli.tools", "Give a model tools: programs, servers, a web search."),
    "serve": Entry(
        "Serve", "gadfly.cli.serve", "Serve models to programs that speak OpenAI's, Anthropic's or Ollama's API."
    ),
    "keys": Entry("Serve", "gadfly.cli.keys", "Make, list, change and remove the keys of gadfly serve."),
    "train": Entry("Make your own", "gadfly.cli.train", "Teach a model a tone or a character from examples."),
    "data": Entry(
        "Make your own", "gadfly.cli.data", "Check, show, take in, divide, make and gather examples to learn from."
    ),
    "eval": Entry("Make your own", "gadfly.cli.eval", "Judge MODEL by files of questions, or chats by their votes."),
    "export": Entry("Make your own", "gadfly.cli.export", "Write adapters in a form that others take, with a card."),
    "pull": Entry("Models", "gadfly.cli.pull", "Bring a model to this machine."),
    "list": Entry("Models", "gadfly.cli.list", "Show the models on this machine."),
    "show": Entry("Models", "gadfly.cli.show", "Show what is known of a model."),
    "rm": Entry("Models", "gadfly.cli.rm", "Remove models from this machine."),
    "fit": Entry("Models", "gadfly.cli.fit", "Tell whether a model will run on this machine, and how fast."),
    "inspect": Entry("Models", "gadfly.cli.inspect", "Show what is inside a model file."),
    "convert": Entry("Models", "gadfly.cli.convert", "Turn a model into another kind of file, quantised on the way."),
    "calibrate": Entry("Models", "gadfly.cli.calibrate", "Measure which weights matter most, for convert."),
    "new": Entry("Models", "gadfly.cli.new", "Make a model with random weights, of any size."),
    "bench": Entry("Models", "gadfly.cli.bench", "Measure the speed of a model on this machine."),
}


class Commands(click.Group):
    """Commands by topic, imported when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = import_module(entry.module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for topic in dict.fromkeys(entry.topic for entry in COMMANDS.values()):
            with formatter.section(topic):
                formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items() if entry.topic == topic])


def print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # reads a folder full of files

        click.echo(f"gadfly {version('gadfly')}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Show it.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show where errors come from. Or set GADFLY_DEBUG=1.")
def gadfly() -> None:
    """An open, irreverent chatbot that runs on your own computer.

    \b
    gadfly chat
    gadfly run smollm2 "Why is the sky blue?"
    gadfly COMMAND --help
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments[:1] or os.environ.get("GADFLY_DEBUG", "0") not in ("", "0")
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal or a file cannot express must not end a conversation
            stream.reconfigure(errors="replace")
    try:
        code = gadfly.main(list(arguments), prog_name="gadfly", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains while it shuts down
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        click.echo(f"gadfly: {printable(_explained(error))}", err=True)
        return 2 if isinstance(error, GadflyError | OSError | MemoryError) else 1


def _explained(error: Exception) -> str:
    if isinstance(error, GadflyError):
        return str(error).replace("\n", " ")
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    if isinstance(error, MemoryError):
        return "memory ran out; try a smaller model (gadfly list --all) or a smaller --context"
    return f"this is a bug: {type(error).__name__}: {error} (gadfly --debug … shows where; please report it)"
