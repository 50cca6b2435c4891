"""One answer that another program keeps as a list of parts, as the messages that we would make of it.

Text and thoughts, then calls of tools, then a message for each result, then text again. The last message has the key
of the whole, since it is what was answered to.
"""

from collections.abc import Sequence
from dataclasses import replace

from gadfly.chat.imports.values import Said
from gadfly.chat.values import Message
from gadfly.conversation import ToolCall

__all__ = ["Pieces"]


class Pieces:
    """Add parts in their order."""

    def __init__(self) -> None:
        self._done: list[Message] = []
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []

    def text(self, text: str) -> None:
        if self._calls:
            self._close()
        if text:
            self._text.append(text)

    def thought(self, text: str) -> None:
        if self._calls or self._text:
            self._close()
        if text:
            self._thoughts.append(text)

    def call(self, id: str, name: str, arguments: str) -> None:  # noqa: A002
        self._calls.append(ToolCall(id, name, arguments))

    def result(self, id: str, name: str | None, text: str) -> None:  # noqa: A002
        self._close()
        self._done.append(Message("tool", text, tool_call_id=id or None, name=name or None))

    def said(self, whole: Said) -> Sequence[Said]:
        """`whole` with each message in turn; itself, with nothing said, if there was none."""
        self._close()
        if not self._done:
            return [whole]
        keys = [*(f"{whole.key}#{number}" for number in range(1, len(self._done))), whole.key]
        parents = [whole.parent, *keys]
        files = [whole.files, *((),) * len(keys)]
        return [
            replace(whole, key=key, parent=parent, message=message, files=attached)
            for key, parent, message, attached in zip(keys, parents, self._done, files, strict=False)
        ]

    def _close(self) -> None:
        if self._text or self._thoughts or self._calls:
            text, thoughts = "\n\n".join(self._text), "\n\n".join(self._thoughts)
            self._done.append(Message("assistant", text, thoughts, tuple(self._calls)))
            self._text, self._thoughts, self._calls = [], [], []
