"""gadfly chat: talk with a model in the terminal, or answer the lines of a pipe."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.chat.persona import load_persona
from gadfly.chat.session import Chat
from gadfly.cli.answer import PlainScreen, RichScreen, Screen
from gadfly.cli.first_model import choose_model
from gadfly.cli.loading import load_model
from gadfly.cli.options import answer_options, settings_from, speaking_options
from gadfly.cli.slash import suggestions
from gadfly.cli.talk import Talk, show_answer
from gadfly.hub.library import Library
from gadfly.settings import home

if TYPE_CHECKING:
    from gadfly.llm import LLM

__all__ = ["command"]

BUILT_IN_QUESTION = "Why is the sky blue?"


@click.command("chat")
@click.argument("model", required=False)
@click.option("--model", "model_option", metavar="MODEL", help="The same as MODEL.")
@click.option("--load", "file", type=click.Path(path_type=Path), help="Continue a saved conversation.")
@click.option("--plain", is_flag=True, help="Only ever append text, without colour. For screen readers.")
@click.option("--stats", is_flag=True, help="Tokens per second after every answer.")
@speaking_options
def command(
    model: str | None,
    model_option: str | None,
    file: Path | None,
    plain: bool,
    stats: bool,
    system: str | None,
    context: int | None,
    experts: str | None,
    **flags: Any,
) -> None:
    """Talk with a model in the terminal.

    MODEL is a name (gadfly list), a .gguf, or anything that gadfly pull takes. Inside, /help lists the rest. In a pipe
    every line is a question, and stdout gets the answers and nothing else.

    \b
    gadfly chat
    gadfly chat smollm2 --persona straight
    gadfly chat ./model.gguf --wit 1 --seed 7
    echo "What is the capital of France?" | gadfly chat
    """
    if model and model_option and model != model_option:
        raise click.UsageError(f"Two models were given, {model} and {model_option}.")
    settings = settings_from(flags, model or model_option)
    persona = load_persona(settings.persona)
    name = choose_model(settings, Library(home()))

    def load(model: str) -> "LLM":
        return load_model(model, settings, context, experts)

    chat = Chat(load(name), persona, settings.wit, system=system, **answer_options(flags))
    if file is not None:
        chat.load(file)
    if sys.stdin and sys.stdin.isatty() and sys.stdout.isatty():
        folder = home() / "conversations"
        converse(Talk(chat, _screen(plain), name, load, folder, stats))
    else:
        answer_lines(chat, sys.stdin or (), stats)


def converse(talk: Talk) -> None:
    """Until the user leaves."""
    from gadfly.cli.terminal import Keyboard

    history = home() / "history"
    first_time = not history.exists()
    keyboard = Keyboard(history, lambda text: suggestions(talk, text), colour=isinstance(talk.screen, RichScreen))
    talk.greet()
    talk.introduce()
    talk.screen.note(f"{talk.model}, wit {talk.chat.wit:g}. /help lists what I obey, Ctrl-D ends it.")
    if first_time:
        talk.screen.note("Ctrl-C stops an answer; Alt-Enter starts a new line.")
    draft = ""
    while not talk.over:
        try:
            line = keyboard.read(draft)
            with keyboard.silent():
                draft = talk.take(line)
        except KeyboardInterrupt:
            draft = ""
            talk.editing = False
        except EOFError:
            break


def answer_lines(chat: Chat, lines: Iterable[str], stats: bool) -> None:
    """Answer every line on stdout; if there is none, a question of our own, so that there is something to see."""
    screen = PlainScreen(notes=sys.stderr, named=False)
    questions = (line.strip() for line in lines if line.strip())
    if chat.caveat:
        screen.note(chat.caveat)
    first = next(questions, None)
    if first is None:
        screen.note(f"Nobody asked anything, so: {BUILT_IN_QUESTION}")
    show_answer(chat, chat.stream(first or BUILT_IN_QUESTION), screen, stats)
    for question in questions:
        click.echo()
        show_answer(chat, chat.stream(question), screen, stats)


def _screen(plain: bool) -> Screen:
    if plain or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return PlainScreen()
    from rich.console import Console

    return RichScreen(Console())
