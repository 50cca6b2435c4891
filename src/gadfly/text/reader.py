"""An answer read as it comes: thoughts, text and calls of tools, told apart character by character.

It joins `gadfly.text.thought` and `gadfly.text.tool_calls`, either of which may be absent, and knows neither tokens nor
where an answer ends.
"""

from collections.abc import Iterable

from gadfly.conversation import AnswerEvent, ReasoningDelta, TextDelta
from gadfly.text.thought import Part, ThoughtReader
from gadfly.text.tool_calls import ToolCallReader

__all__ = ["AnswerReader"]


class AnswerReader:
    """Text in pieces, events out; however the text is cut, joining neighbours of a kind gives the same events."""

    def __init__(self, thoughts: ThoughtReader | None = None, calls: ToolCallReader | None = None) -> None:
        self._thoughts = thoughts
        self._calls = calls

    @property
    def held(self) -> int:
        """Characters that have come and led to no event yet."""
        return (self._thoughts.held if self._thoughts else 0) + (self._calls.held if self._calls else 0)

    @property
    def thinking(self) -> bool:
        """Whether what comes next is, for all that is known, a thought."""
        return self._thoughts is not None and self._thoughts.within

    @property
    def called(self) -> bool:
        """Whether a tool has been called."""
        return self._calls is not None and self._calls.calls > 0

    @property
    def ended(self) -> bool:
        """Whether the answer is over, because as many tools were called as may be."""
        return self._calls is not None and self._calls.ended

    def push(self, text: str) -> list[AnswerEvent]:
        return self._read(self._thoughts.push(text) if self._thoughts else [("text", text)])

    def flush(self, cut: bool = False) -> list[AnswerEvent]:
        """What was held back, when no more text comes; `cut`: because no more was allowed."""
        events = self._read(self._thoughts.flush()) if self._thoughts else []
        return events + (self._calls.flush(cut) if self._calls else [])

    def _read(self, parts: Iterable[Part]) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        for kind, text in parts:
            if kind == "thought":
                events.append(ReasoningDelta(text))
            elif self._calls:
                events += self._calls.push(text)
            elif text:
                events.append(TextDelta(text))
        return events
