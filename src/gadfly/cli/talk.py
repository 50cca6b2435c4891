"""One conversation as its user sees it: what a line of input does, and what Ctrl-C does meanwhile.

It reads no keyboard and knows no colour: lines come from `gadfly.cli.terminal` or a pipe, answers go to a `Screen`.
"""

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from gadfly.chat.session import Chat
from gadfly.chat.values import Speaker
from gadfly.cli.answer import Screen
from gadfly.cli.slash import obey
from gadfly.cli.stats import stats_text
from gadfly.cli.talk_tools import TalkTools
from gadfly.errors import ContextError, GadflyError

__all__ = ["Talk", "show_answer", "stopping"]


class Talk:
    """`model` is the name of what `chat` talks to; `open_model` brings another; `folder` keeps conversations.

    `tools` are those that the model may call; without them it has none.
    """

    def __init__(
        self,
        chat: Chat,
        screen: Screen,
        model: str,
        open_model: Callable[[str], Speaker],
        folder: Path,
        stats: bool,
        tools: TalkTools | None = None,
    ) -> None:
        self.chat = chat
        self.screen = screen
        self.model = model
        self.open_model = open_model
        self.folder = folder
        self.stats = stats
        self.editing = False  # the next line replaces the last question
        self.over = False
        self.tools = tools or TalkTools()
        self.listed: list[str] = []  # ids of the chats that were shown last, for /open NUMBER

    def greet(self) -> None:
        chat = self.chat
        self.screen.answer(chat.persona.name.capitalize(), [chat.persona.voice(chat.wit).greeting])

    def introduce(self) -> None:
        """What there is to know about the model before it speaks."""
        if self.chat.caveat:
            self.screen.note(self.chat.caveat)

    def take(self, line: str) -> str:
        """Do what a line says. Returns a draft for the next line: what could not be sent, or is to be edited.

        What goes wrong is told, and the conversation goes on.
        """
        editing, self.editing = self.editing, False
        if not line.strip():
            return ""
        try:
            if line.startswith("/"):
                return obey(self, line)
            self.tools.equip(self)
            self.answer(self.chat.edit(line) if editing else self.chat.stream(line))
        except ContextError as error:
            self.editing = editing
            self.screen.note(f"gadfly: {error}")
            return line
        except (GadflyError, OSError) as error:
            self.screen.note(f"gadfly: {error}")
        except KeyboardInterrupt:
            self.screen.note("(stopped)")
        return ""

    def answer(self, pieces: Generator[str, None, None]) -> None:
        """Show an answer as it comes, and what the model calls for it; Ctrl-C stops it."""
        with stopping(self.chat.cancel):
            show_answer(self.chat, pieces, self.screen, self.stats)
        while self.chat.step is not None:
            self.tools.do(self, self.chat.step)


def show_answer(chat: Chat, pieces: Generator[str, None, None], screen: Screen, stats: bool) -> None:
    """The answer that `chat` has begun, and what has to be said about it."""
    if chat.notice:
        screen.note(chat.notice)
    with closing(pieces):  # so that the answer is on record, even after an impatient Ctrl-C
        screen.answer(chat.persona.name.capitalize(), pieces)
    reply = chat.turns[-1].reply
    if chat.step is not None:  # it wishes for calls of tools, and will go on
        return
    if reply is None or reply.completion.finish_reason == "cancelled":
        screen.note("(stopped)")
    elif reply.completion.finish_reason == "length":
        screen.note(f"(cut off after {reply.completion.usage.completion_tokens} tokens)")
    if stats and reply is not None:
        screen.note(stats_text(reply.completion.usage, chat.speaker.expert_use(), chat.speaker.reads()))


@contextmanager
def stopping(cancel: Callable[[], None]) -> Iterator[None]:
    """Inside, the first Ctrl-C calls `cancel`, and only one more raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
