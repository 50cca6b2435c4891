"""What `previous_response_id` names: the conversations behind the latest answers, in memory and within bounds.

The oldest go first. Nobody continues what was said to somebody else.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from gadfly.conversation import Message

__all__ = ["Continuations"]


@dataclass(frozen=True)
class _Kept:
    owner: str
    messages: tuple[Message, ...]
    size: int


class Continuations:
    """At most `most` conversations that take about `most_bytes` together."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, id: str, owner: str, messages: Sequence[Message]) -> None:  # noqa: A002
        """Remember a conversation, its answer included; one too large for all the room there is is not kept."""
        kept = _Kept(owner, tuple(messages), sum(map(_size, messages)))
        if kept.size > self._most_bytes:
            return
        self.forget(id, owner)
        self._kept[id] = kept
        self._bytes += kept.size
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].size

    def find(self, id: str, owner: str) -> tuple[Message, ...] | None:  # noqa: A002
        """The conversation behind an answer to `owner`, if it is still here."""
        kept = self._kept.get(id)
        return kept.messages if kept and kept.owner == owner else None

    def forget(self, id: str, owner: str) -> bool:  # noqa: A002
        """Whether there was something to forget."""
        if self.find(id, owner) is None:
            return False
        self._bytes -= self._kept.pop(id).size
        return True


def _size(message: Message) -> int:
    """Bytes, roughly: four for a character, and what objects take."""
    calls = sum(len(call.arguments) + len(call.name) + 100 for call in message.tool_calls)
    return 4 * (len(message.content) + len(message.reasoning) + calls) + 400
