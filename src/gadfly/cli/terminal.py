"""The keyboard side of the terminal chat: one line or several, with history and completion, by prompt-toolkit."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import DummyHistory, FileHistory, History, InMemoryHistory
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

__all__ = ["Keyboard", "is_complete", "unwrapped"]

QUOTES = '"""'


class Keyboard:
    """`suggest` maps what has been typed to words that may end it. Without a writable `history` none is kept."""

    def __init__(self, history: Path, suggest: Callable[[str], list[tuple[str, str]]], colour: bool) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            completer=_Completer(suggest),
            complete_while_typing=Condition(lambda: self._session.default_buffer.text.startswith("/")),
            key_bindings=_bindings(),
            multiline=True,
            prompt_continuation=lambda width, _line, _wrapped: " " * width,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            enable_open_in_editor=False,
        )
        self._asking: PromptSession[str] = PromptSession(history=DummyHistory())

    def read(self, draft: str = "") -> str:
        """What the user sends, beginning with `draft`. Raises EOFError for Ctrl-D, KeyboardInterrupt for Ctrl-C."""
        return unwrapped(self._session.prompt("You: ", default=draft))

    def ask(self, question: str) -> str:
        """A short answer that is kept nowhere. What was typed before the question is no answer to it."""
        if termios is not None and sys.stdin.isatty():
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        clear_typeahead(self._asking.app.input)
        return self._asking.prompt(question)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """What is typed inside is not echoed into what is being written, but kept for the next `read`."""
        if termios is None:
            yield
            return
        before = termios.tcgetattr(sys.stdin)
        flags = list(before)
        flags[3] &= ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, flags)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def is_complete(text: str) -> bool:
    """Whether Enter sends the text: it does not end in a backslash or within triple quotes."""
    return not text.endswith("\\") and text.count(QUOTES) % 2 == 0


def unwrapped(text: str) -> str:
    """The text without the triple quotes around it."""
    stripped = text.strip()
    if len(stripped) >= 6 and stripped.startswith(QUOTES) and stripped.endswith(QUOTES):
        return stripped[3:-3].strip("\n")
    return text


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        before = buffer.document.text_before_cursor
        if is_complete(buffer.text):
            buffer.validate_and_handle()
            return
        if before.endswith("\\"):
            buffer.delete_before_cursor()
        buffer.insert_text("\n")

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def _history(path: Path) -> History:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what one says is nobody else's business
        with path.open("ab"):
            return FileHistory(str(path))
    except OSError:
        return InMemoryHistory()


class _Completer(Completer):
    def __init__(self, suggest: Callable[[str], list[tuple[str, str]]]) -> None:
        self._suggest = suggest

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        text = document.text_before_cursor
        start = text.rfind(" ") + 1
        for word, meaning in self._suggest(text):
            yield Completion(word, start - len(text), display_meta=meaning)
