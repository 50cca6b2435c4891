"""Tools in the terminal chat: which are offered, what a call looks like, and how the user allows it.

What a persona may use is offered from the first question on; `/tools` chooses otherwise for as long as the chat is
open. Servers are started when a question is asked, and not before.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gadfly.chat.tools import AskModel, AskUser, CallTool, Consent, Offer, Patience, PlannedCall, Step, ToolStopped
from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.toolbox import Toolbox
from gadfly.errors import RequestError

if TYPE_CHECKING:
    from gadfly.cli.talk import Talk

__all__ = ["TalkTools", "choices", "tools"]

_START = 60.0  # seconds for servers to start in
_SHOWN = 300  # characters of a result
_ANSWERS: dict[str, Consent] = {"o": "once", "once": "once", "c": "chat", "chat": "chat", "n": "no", "no": "no"}
_QUESTION = "Allow it? once, for this chat, or no (o/c/n): "


class TalkTools:
    """Without a `box` there are no tools. `ask` puts a question to the user and returns what they type."""

    def __init__(self, box: Toolbox | None = None, file: ToolFile | None = None) -> None:
        self.box = box
        self.file = file
        self.ask: Callable[[str], str] = lambda _: "no"
        self.chosen: tuple[str, ...] | None = None  # None: what the persona may use

    def wanted(self, persona: str) -> tuple[str, ...]:
        """What is to be offered in a chat with this persona."""
        if self.box is None or self.file is None:
            return ()
        return self.file.allowed(persona) if self.chosen is None else self.chosen

    def equip(self, talk: "Talk") -> None:
        """Offer what is wanted. Servers that are not running are started; what is wrong with one is told once."""
        from gadfly.cli.talk import stopping

        before, wanted = talk.chat.offer, self.wanted(talk.chat.persona.name)
        if self.box is None or not wanted:
            talk.chat.offer = Offer()
            return
        cancelled = threading.Event()
        try:
            with stopping(cancelled.set):
                talk.chat.offer = self.box.offer(wanted, Patience(_START, cancelled))
        except ToolStopped:
            raise KeyboardInterrupt from None
        for problem in talk.chat.offer.problems:
            if problem not in before.problems:
                talk.screen.note(f"! {problem}")

    def do(self, talk: "Talk", step: Step) -> None:
        """What has to be done before the model goes on."""
        from gadfly.cli.talk import show_answer, stopping

        match step:
            case AskUser(call):
                self._consent(talk, call)
            case CallTool(call):
                talk.screen.note(f"Calling {call.title}")
                with stopping(talk.chat.cancel):
                    result = talk.chat.call()
                if result is None:
                    talk.screen.note("(stopped)")
                else:
                    talk.screen.note(f"{'It failed' if result.failed else 'Result'}: {_shortened(result.text)}")
            case AskModel():
                with stopping(talk.chat.cancel):
                    show_answer(talk.chat, talk.chat.go_on(), talk.screen, talk.stats)

    def _consent(self, talk: "Talk", call: PlannedCall) -> None:
        name = talk.chat.persona.name.capitalize()
        talk.screen.note(f"{name} wants to call {call.title}")
        try:
            consent = None
            while consent is None:
                consent = _ANSWERS.get(self.ask(_QUESTION).strip().lower())
        except (KeyboardInterrupt, EOFError):
            talk.chat.stop_calls()
            talk.screen.note("(stopped)")
            return
        talk.chat.decide(consent)


def tools(talk: "Talk", text: str) -> None:
    """The command `/tools`: show what is offered, or choose it."""
    own = talk.tools
    if own.box is None or own.file is None:
        raise RequestError("there are no tools in this conversation")
    if text:
        own.chosen = _chosen(text, own.file)
    own.equip(talk)
    for one in talk.chat.offer.tools:
        talk.screen.note(f"{one.server}/{one.tool.name}  {_shortened(one.tool.description, 80)}")
    if not talk.chat.offer.tools:
        known = ", ".join(own.file.read().servers) or "none (gadfly tools add)"
        talk.screen.note(f"No tools are offered. There are: {known}. /tools NAME offers them in this chat.")


def choices(talk: "Talk") -> Sequence[str]:
    """What may stand behind `/tools`."""
    return ("off", "default", *(talk.tools.file.read().servers if talk.tools.file else ()))


def _chosen(text: str, file: ToolFile) -> tuple[str, ...] | None:
    if text in ("off", "default"):
        return () if text == "off" else None
    names = tuple(text.split())
    known = file.read().servers
    for name in names:
        if name.partition("/")[0] not in known:
            raise RequestError(f"there are no tools called {name!r:.60}; there are {', '.join(known) or 'none'}")
    return names


def _shortened(text: str, most: int = _SHOWN) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
