"""A question of a chat that is answered with tools: the model's answers in rounds, and what is called between them.

It joins an `Exchange` to a speaker and to whoever keeps the conversation. `gadfly.chat.session` has one for each
question where tools are offered; the app's server, which is asynchronous, does the same in `gadfly.server.app`.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from gadfly.chat.tools.exchange import AskModel, CallTool, Consent, Exchange, Step
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.result import ToolResult
from gadfly.chat.values import Answering
from gadfly.completion import Completion, Usage
from gadfly.conversation import (
    ChatRequest,
    Finished,
    Message,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)

__all__ = ["Calling", "EventGeneration"]

Keep = Callable[[int | None, Message], int | None]


class EventGeneration:
    """An answer in events as a chat holds it: iterate for pieces of its text; then `completion` and `message`."""

    def __init__(self, events: Answering) -> None:
        self._events = events
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._end: Finished | None = None

    def __iter__(self) -> Iterator[str]:
        for event in self._events:
            match event:
                case TextDelta(text):
                    self._text.append(text)
                    yield text
                case ReasoningDelta(text):
                    self._thoughts.append(text)
                case ToolCallStart(_, id, name):
                    self._calls.append(ToolCall(id, name, ""))
                case ToolCallDelta(index, more):
                    call = self._calls[index]
                    self._calls[index] = replace(call, arguments=call.arguments + more)
                case Finished():
                    self._end = event

    def cancel(self) -> None:
        self._events.cancel()

    @property
    def completion(self) -> Completion:
        if self._end is None:
            return Completion("".join(self._text), (), "cancelled", Usage(0, 0, 0, 0.0, 0.0))
        reason = "stop" if self._end.reason == "tool_calls" else self._end.reason
        return Completion("".join(self._text), (), reason, self._end.usage)

    @property
    def message(self) -> Message:
        return Message("assistant", "".join(self._text), "".join(self._thoughts), tuple(self._calls))


class Calling:
    """`request` is the question; `keep` puts a message behind another and returns its number, if it keeps any."""

    def __init__(self, exchange: Exchange, request: ChatRequest, last: int | None, keep: Keep) -> None:
        self.messages: tuple[Message, ...] = ()  # calls and results so far
        self.last = last  # the number of the last message
        self._exchange = exchange
        self._request = request
        self._keep = keep
        self._stopped = threading.Event()

    @property
    def step(self) -> Step | None:
        return self._exchange.step

    def request(self) -> ChatRequest:
        """For the next answer of the model."""
        step = self._exchange.step
        assert isinstance(step, AskModel)
        return replace(self._request, messages=(*self._request.messages, *step.messages), tools=step.tools)

    def answered(self, message: Message, number: int | None) -> None:
        """The model wishes for calls, in a message that is kept already."""
        self.last = number
        self._exchange.answered(message)
        self._take(kept=1)

    def decide(self, consent: Consent) -> None:
        self._exchange.decided(consent)
        self._take()

    def call(self) -> ToolResult | None:
        """Make the call that is due, and wait for it; None if it was stopped, and with it the whole."""
        step = self._exchange.step
        assert isinstance(step, CallTool)
        try:
            result = step.call.run(Patience(step.call.offered.seconds, self._stopped))
        except ToolStopped:
            self.stop()
            return None
        self._exchange.returned(result)
        self._take()
        return result

    def cancel(self) -> None:
        """End the call that is being made. Never waits: for signal handlers too."""
        self._stopped.set()

    def stop(self) -> None:
        """Nothing more is called, and the model is not asked again."""
        self._exchange.stop()
        self._take()

    def _take(self, kept: int = 0) -> None:
        """Keep what is new, apart from the first `kept`."""
        new = self._exchange.take()
        self.messages = (*self.messages, *new)
        for message in new[kept:]:
            self.last = self._keep(self.last, message)
