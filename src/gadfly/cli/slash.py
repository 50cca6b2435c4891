"""What can be said to the chat itself: lines that begin with a slash.

`COMMANDS` is the whole list; help and completion are read from it. A command acts on a `Talk` and may return a draft
for the next line.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from gadfly.chat.persona import load_persona, persona_names
from gadfly.cli.recall import branches, chats, open_chat, recap, shortened, title
from gadfly.cli.stats import experts_text, reads_text, stats_text
from gadfly.cli.talk_tools import choices, tools
from gadfly.errors import RequestError
from gadfly.hub.library import Library
from gadfly.settings import home

if TYPE_CHECKING:
    from gadfly.cli.talk import Talk

__all__ = ["COMMANDS", "Command", "obey", "suggestions"]


@dataclass(frozen=True)
class Command:
    """`does` takes the rest of the line; `choices` are what may stand there."""

    arguments: str
    help: str
    does: Callable[["Talk", str], str | None]
    choices: Callable[["Talk"], Iterable[str]] = lambda _: ()


def obey(talk: "Talk", line: str) -> str:
    """Run the command in `line`; a draft for the next line. Raises GadflyError."""
    word, _, argument = line[1:].strip().partition(" ")
    name = _OTHER_NAMES.get(word.lower(), word.lower())
    if name not in COMMANDS:
        close = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean /{close[0]}?" if close else "/help lists them"
        raise RequestError(f"there is no command /{word}; {hint} (a text may begin with a slash after a space)")
    return COMMANDS[name].does(talk, argument.strip()) or ""


def suggestions(talk: "Talk", text: str) -> list[tuple[str, str]]:
    """Words that may stand at the end of `text` instead of its last one, and what they mean."""
    if not text.startswith("/") or "\n" in text:
        return []
    word, space, argument = text[1:].partition(" ")
    if not space:
        return [(f"/{name}", command.help) for name, command in COMMANDS.items() if name.startswith(word)]
    command = COMMANDS.get(word)
    return [(choice, "") for choice in (command.choices(talk) if command else ()) if choice.startswith(argument)]


def _help(talk: "Talk", _: str) -> None:
    width = max(len(f"/{name} {command.arguments}") for name, command in COMMANDS.items())
    lines = [f"{f'/{name} {command.arguments}':<{width}}  {command.help}" for name, command in COMMANDS.items()]
    talk.screen.note("\n".join([*lines, *_KEYS]))


def _new(talk: "Talk", _: str) -> None:
    talk.chat.new()
    talk.screen.note("A new conversation.")


def _retry(talk: "Talk", _: str) -> None:
    talk.tools.equip(talk)
    talk.answer(talk.chat.retry())


def _edit(talk: "Talk", text: str) -> str | None:
    if text:
        talk.tools.equip(talk)
        talk.answer(talk.chat.edit(text))
        return None
    if not talk.chat.turns:
        raise RequestError("nothing has been said yet")
    talk.editing = True
    talk.screen.note("Change your last question and send it again; an empty line leaves it as it was.")
    return talk.chat.turns[-1].user


def _undo(talk: "Talk", _: str) -> None:
    turn = talk.chat.undo()
    talk.screen.note(f"Taken back: {shortened(turn.user)}")


def _system(talk: "Talk", text: str) -> None:
    if text:
        talk.chat.system = None if text == "default" else text
    system = talk.chat.system
    if system is None:
        system = talk.chat.persona.voice(talk.chat.wit).system
        talk.screen.note(f"The system prompt is the persona's: {system}")
    else:
        talk.screen.note(f"The system prompt is yours, in place of the persona's (/system default): {system}")


def _persona(talk: "Talk", name: str) -> None:
    if name:
        talk.chat.persona = load_persona(name)
        talk.greet()
        return
    for known in persona_names():
        mark = "*" if known == talk.chat.persona.name else " "
        talk.screen.note(f"{mark} {known}: {load_persona(known).description}")


def _wit(talk: "Talk", text: str) -> None:
    if text:
        try:
            talk.chat.wit = float(text)
        except ValueError:
            raise RequestError(f"wit is {text!r}; it goes from 0, dry, to 1, merciless") from None
    talk.screen.note(f"wit is {talk.chat.wit:g}")


def _model(talk: "Talk", name: str) -> None:
    if name:
        talk.chat.speaker = talk.open_model(name)
        talk.model = name
        talk.introduce()
    talk.screen.note(f"This is {talk.model}, with {talk.chat.speaker.context} tokens of context.")
    if not name:
        others = ", ".join(_models(talk)) or "none"
        talk.screen.note(f"On this machine: {others}. More: gadfly list --all")


def _save(talk: "Talk", name: str) -> None:
    path = _file(talk, name or f"{datetime.now():%Y-%m-%d-%H%M%S}")
    if path.parent == talk.folder:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    talk.chat.save(path)
    talk.screen.note(f"Saved: {path}")


def _load(talk: "Talk", name: str) -> None:
    if not name:
        talk.screen.note(f"Saved conversations: {', '.join(_conversations(talk)) or 'none'}")
        return
    talk.chat.load(_file(talk, name))
    talk.screen.note(f"Loaded {len(talk.chat.turns)} exchanges.")
    recap(talk)


def _stats(talk: "Talk", text: str) -> None:
    if text in ("on", "off"):
        talk.stats = text == "on"
        talk.screen.note(f"Statistics after every answer: {text}.")
        return
    replies = [turn.reply for turn in talk.chat.turns if turn.reply]
    if not replies:
        raise RequestError("there is no answer yet; /stats on shows them after each")
    usage = replies[-1].completion.usage
    used = usage.prompt_tokens + usage.completion_tokens
    talk.screen.note(f"{stats_text(usage)}; context {used} of {talk.chat.speaker.context}")
    for more in (experts_text(talk.chat.speaker.expert_use()), reads_text(talk.chat.speaker.reads())):
        if more:
            talk.screen.note(more)


def _exit(talk: "Talk", _: str) -> None:
    talk.over = True


def _models(_: "Talk") -> list[str]:
    return [entry.name for entry in Library(home()).list()]


def _conversations(talk: "Talk") -> list[str]:
    return sorted(path.stem for path in talk.folder.glob("*.json"))


def _file(talk: "Talk", name: str) -> Path:
    """A plain name means a file among the saved conversations, anything else is a path."""
    path = Path(name).expanduser()
    return talk.folder / f"{name}.json" if path.name == name and path.suffix != ".json" else path


COMMANDS = {
    "help": Command("", "this list", _help),
    "new": Command("", "start a new conversation", _new),
    "retry": Command("", "answer the last question again", _retry),
    "edit": Command("[text]", "change the last question", _edit),
    "undo": Command("", "take back the last question and its answer", _undo),
    "system": Command("[text|default]", "show or replace the system prompt", _system, lambda _: ["default"]),
    "persona": Command("[name]", "list the personas, or talk with one", _persona, lambda _: persona_names()),
    "wit": Command("[0-1]", "show or set how witty it is", _wit, lambda _: ["0", "0.5", "1"]),
    "model": Command("[name]", "show the model, or talk with another", _model, _models),
    "chats": Command("[words]", "list the latest conversations, or find some", chats),
    "open": Command("number|id|words", "go on with one of them", open_chat),
    "branches": Command("[number]", "list other versions of what was said, or go on with one", branches),
    "title": Command("[text]", "show or change what this conversation is called", title),
    "save": Command("[name]", "write the conversation to a file", _save, _conversations),
    "load": Command("[name]", "list such files, or continue one", _load, _conversations),
    "tools": Command("[name …|off|default]", "show what the model may call, or choose it", tools, choices),
    "stats": Command("[on|off]", "tokens per second", _stats, lambda _: ["on", "off"]),
    "exit": Command("", "leave; Ctrl-D does too", _exit),
}
_OTHER_NAMES = {"quit": "exit", "bye": "exit", "q": "exit", "?": "help", "h": "help", "clear": "new"}
_KEYS = (
    "",
    "Enter sends. Alt-Enter, or a backslash at the end of a line, starts a new line;",
    'so does Enter between """ and """. Ctrl-C stops an answer, the arrow keys bring back what you said.',
)
