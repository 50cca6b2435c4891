"""A question answered with tools: the model asks for calls, the user allows them or not, results go back to the model.

A state machine without any input or output, for whoever has a model, a user and threads at hand:

    AskModel ── answered(message) ──► AskUser ── decided(consent) ──► CallTool ── returned(result) ──► …  ──► None

Every call needs consent, once or for the rest of the chat. Whatever goes wrong with one becomes its result, so that the
model can do something else; after `rounds` it is asked without tools and has to answer. `take` gives the messages that
belong into the conversation; one that was cut short is made whole by `gadfly.chat.settled`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from gadfly.chat.settled import STOPPED, told
from gadfly.chat.tools.offer import Offer, OfferedTool
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.result import RESULT_LIMIT, ToolResult
from gadfly.chat.tools.untrusted import cut, visible, with_texts
from gadfly.conversation import Message, Tool, ToolCall
from gadfly.errors import RequestError, ToolError

__all__ = [
    "CONSENTS",
    "AskModel",
    "AskUser",
    "CallTool",
    "Consent",
    "Exchange",
    "Grants",
    "PlannedCall",
    "Step",
]

ROUNDS = 8  # of calls, until the model has to answer
CALLS = 8  # at once
ARGUMENTS_LIMIT = 100_000  # characters
_SHOWN = 2_000

Consent = Literal["once", "chat", "no"]
CONSENTS: tuple[Consent, ...] = get_args(Consent)


@dataclass(frozen=True)
class PlannedCall:
    """A call that the model wishes for. `arguments` are those it has written, as far as they are an object."""

    id: str
    offered: OfferedTool
    arguments: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What is about to happen, for people: `notes/search {"text": "bees"}`."""
        written = json.dumps(self.shown, ensure_ascii=False)
        return cut(f"{self.offered.server}/{self.offered.tool.name} {written}", _SHOWN)

    @property
    def shown(self) -> Any:
        """All arguments, to be looked at."""
        return with_texts(self.arguments, visible)

    def run(self, patience: Patience) -> ToolResult:
        """Call the tool; what goes wrong is a result, too. Raises ToolStopped if it was cancelled."""
        try:
            return self.offered.call(self.arguments, patience)
        except ToolStopped:
            raise
        except ToolError as error:
            return ToolResult(str(error), failed=True)


@dataclass(frozen=True)
class AskModel:
    """`messages` are those since the question; in the last round there are no `tools`."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]


@dataclass(frozen=True)
class AskUser:
    call: PlannedCall


@dataclass(frozen=True)
class CallTool:
    call: PlannedCall


Step = AskModel | AskUser | CallTool
S = TypeVar("S", AskModel, AskUser, CallTool)


class Grants:
    """What has been allowed for the rest of a chat."""

    def __init__(self) -> None:
        self._allowed: set[tuple[str, str]] = set()

    def allow(self, offered: OfferedTool) -> None:
        self._allowed.add((offered.server, offered.tool.name))

    def includes(self, offered: OfferedTool) -> bool:
        return (offered.server, offered.tool.name) in self._allowed


class Exchange:
    """See the module. `step` is what has to be done next, None at the end; a result has at most `limit` characters."""

    def __init__(self, offer: Offer, grants: Grants, rounds: int = ROUNDS, limit: int = RESULT_LIMIT) -> None:
        self.failed: set[str] = set()  # ids of calls that were refused or went wrong
        self._offer = offer
        self._grants = grants
        self._rounds = rounds
        self._limit = limit
        self._messages: list[Message] = []
        self._taken = 0
        self._calls: list[ToolCall] = []  # those of the last message that have no result yet
        self._asked = 0  # calls in the last message
        self.step: Step | None = AskModel((), offer.shown if rounds else ())

    def answered(self, message: Message) -> None:
        """What the model says to AskModel: its answer, or calls."""
        tools = self._expect(AskModel).tools
        self._messages.append(message)
        self._calls = list(message.tool_calls)
        self._asked = len(self._calls)
        self._rounds -= 1
        if self._calls and tools:
            self._next()
            return
        while self._calls:
            self._told("not called: there were enough calls", failed=True)
        self.step = None

    def decided(self, consent: Consent) -> None:
        """What the user says to AskUser."""
        call = self._expect(AskUser).call
        if consent == "no":
            self._told("not called: the user did not allow it", failed=True)
            self._next()
            return
        if consent == "chat":
            self._grants.allow(call.offered)
        elif consent != "once":
            raise RequestError(f"the consent is {consent!r:.40}; it is once, chat or no", "allow")
        self.step = CallTool(call)

    def returned(self, result: ToolResult) -> None:
        """What came of CallTool."""
        self._expect(CallTool)
        self._told(result.within(self._limit).text, result.failed)
        self._next()

    def stop(self) -> None:
        """The user wants no more of it: calls without a result get one that says so."""
        while self._calls:
            self._told(STOPPED, failed=True)
        self.step = None

    def take(self) -> list[Message]:
        """What has been said since it was asked last."""
        new = self._messages[self._taken :]
        self._taken = len(self._messages)
        return new

    def _expect(self, kind: type[S]) -> S:
        assert isinstance(self.step, kind), f"the step is {self.step}"
        return self.step

    def _next(self) -> None:
        """Go on with the next call that somebody has to do something about, or to the model."""
        while self._calls:
            planned = self._planned(self._calls[0])
            if isinstance(planned, PlannedCall):
                granted = self._grants.includes(planned.offered)
                self.step = CallTool(planned) if granted else AskUser(planned)
                return
            self._told(planned, failed=True)
        self.step = AskModel(tuple(self._messages), self._offer.shown if self._rounds > 0 else ())

    def _planned(self, call: ToolCall) -> PlannedCall | str:
        """The call, or what is wrong with it."""
        offered = self._offer.find(call.name)
        if self._asked - len(self._calls) >= CALLS:
            return f"not called: {CALLS} calls at once are the most"
        if offered is None:
            return f"not called: there is no tool {call.name!r:.80}"
        try:
            arguments = json.loads(call.arguments or "{}") if len(call.arguments) <= ARGUMENTS_LIMIT else None
            with_texts(arguments, visible)  # what cannot be shown, because it is too deep, cannot be allowed
        except (ValueError, RecursionError) as error:
            return f"not called: the arguments are no JSON: {error}"
        if not isinstance(arguments, dict):
            return f"not called: the arguments have to be a JSON object with at most {ARGUMENTS_LIMIT} characters"
        return PlannedCall(call.id, offered, arguments)

    def _told(self, text: str, failed: bool) -> None:
        """The result of the call in hand."""
        call = self._calls.pop(0)
        self._messages.append(told(call, text))
        if failed:
            self.failed.add(call.id)
