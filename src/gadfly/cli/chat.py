"""gadfly chat: talk with a model in the terminal, or answer the lines of a pipe."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.chat.kept import Kept
from gadfly.chat.persona import Persona, load_persona
from gadfly.chat.session import Chat
from gadfly.chat.store import Store
from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.toolbox import Toolbox
from gadfly.cli.answer import PlainScreen, RichScreen, Screen
from gadfly.cli.find_chat import find_chat
from gadfly.cli.first_model import choose_model
from gadfly.cli.loading import load_model
from gadfly.cli.options import answer_options, read_adapters, settings_from, speaking_options
from gadfly.cli.printable import printable
from gadfly.cli.recall import recap
from gadfly.cli.slash import suggestions
from gadfly.cli.talk import Talk, show_answer
from gadfly.cli.talk_tools import TalkTools
from gadfly.errors import CapacityError, NotFoundError, StoreError
from gadfly.hub.library import Library
from gadfly.settings import Settings, home

if TYPE_CHECKING:
    from gadfly.llm import LLM

__all__ = ["command"]

BUILT_IN_QUESTION = "Why is the sky blue?"


@click.command("chat")
@click.argument("model", required=False)
@click.option("--model", "model_option", metavar="MODEL", help="The same as MODEL.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with the latest conversation.")
@click.option("--open", "words", metavar="CHAT", help="Go on with this one: its id, or words that only it has.")
@click.option("--no-store", "private", is_flag=True, help="Keep nothing of what is said.")
@click.option("--owner", default="", help="Whose conversations, where gadfly serve has keys: the name of a key.")
@click.option("--load", "file", type=click.Path(path_type=Path), help="Continue a conversation from a file of /save.")
@click.option("--plain", is_flag=True, help="Only ever append text, without colour. For screen readers.")
@click.option("--stats", is_flag=True, help="Tokens per second after every answer.")
@speaking_options
def command(
    model: str | None,
    model_option: str | None,
    go_on: bool,
    words: str | None,
    private: bool,
    owner: str,
    file: Path | None,
    plain: bool,
    stats: bool,
    system: str | None,
    context: int | None,
    experts: str | None,
    adapters: Sequence[str],
    **flags: Any,
) -> None:
    """Talk with a model in the terminal.

    MODEL is a name (gadfly list), a .gguf, or anything that gadfly pull takes. Inside, /help lists the rest. What is
    said is kept, and goes on here or in the app (gadfly chats). In a pipe every line is a question, stdout gets the
    answers and nothing else, and nothing is kept unless a conversation is opened.

    \b
    gadfly chat
    gadfly chat --continue
    gadfly chat smollm2 --persona straight
    gadfly chat ./model.gguf --wit 1 --seed 7
    gadfly chat smollm2 --adapter my-pirate
    echo "What is the capital of France?" | gadfly chat
    """
    if model and model_option and model != model_option:
        raise click.UsageError(f"Two models were given, {model} and {model_option}.")
    settings = settings_from(flags, model or model_option)
    persona = load_persona(settings.persona)
    name = choose_model(settings, Library(home()))

    beside = read_adapters(adapters)

    def load(model: str) -> "LLM":
        return load_model(model, settings, context, experts, adapters=beside)

    if private and (go_on or words):
        raise click.UsageError("--no-store keeps nothing, so there is nothing to go on with.")
    interactive = bool(sys.stdin and sys.stdin.isatty() and sys.stdout.isatty())
    with ExitStack() as stack:
        kept = None
        if not private and (interactive or go_on or words):
            kept = _keeping(stack, owner, needed=bool(go_on or words))
        chosen = _chosen(kept, go_on, words) if kept else None
        chat = Chat(load(name), persona, settings.wit, system=system, kept=kept, **answer_options(flags))
        if chosen is not None:
            chat.open(chosen)
            _insist(chat, persona, settings, system)
        if file is not None:
            chat.load(file)
        if interactive:
            file_of_tools = ToolFile(home())
            box = stack.enter_context(closing(Toolbox(file_of_tools, settings.offline)))
            tools = TalkTools(box, file_of_tools)
            converse(Talk(chat, _screen(plain), name, load, home() / "conversations", stats, tools))
        else:
            answer_lines(chat, sys.stdin or (), stats)


def _keeping(stack: ExitStack, owner: str, needed: bool) -> Kept | None:
    """One may talk, if need be, where nothing can be kept."""
    try:
        return Kept(stack.enter_context(closing(Store(home() / "chats.sqlite"))), owner)
    except (StoreError, CapacityError) as error:
        if needed:
            raise
        click.echo(f"gadfly: {printable(str(error))}", err=True)
        return None


def _chosen(kept: Kept, go_on: bool, words: str | None) -> str | None:
    """The chat that the flags mean. Raises before a model is loaded for nothing."""
    if words:
        return find_chat(kept.store, kept.owner, words).id
    latest = kept.store.latest(kept.owner) if go_on else None
    if go_on and latest is None:
        raise NotFoundError("there is no conversation yet; gadfly chat begins one")
    return latest.id if latest else None


def _insist(chat: Chat, persona: Persona, settings: Settings, system: str | None) -> None:
    """Flags win over what an opened chat was held with."""
    if settings.origins["persona"] == "flag":
        chat.persona = persona
    if settings.origins["wit"] == "flag":
        chat.wit = settings.wit
    if system is not None:
        chat.system = system


def converse(talk: Talk) -> None:
    """Until the user leaves."""
    from gadfly.cli.terminal import Keyboard

    history = home() / "history"
    first_time = not history.exists()
    keyboard = Keyboard(history, lambda text: suggestions(talk, text), colour=isinstance(talk.screen, RichScreen))
    talk.tools.ask = keyboard.ask
    if talk.chat.turns:
        recap(talk)
    else:
        talk.greet()
    talk.introduce()
    private = "" if talk.chat.kept else " Nothing of this is kept."
    talk.screen.note(f"{talk.model}, wit {talk.chat.wit:g}. /help lists what I obey, Ctrl-D ends it.{private}")
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
