"""Tools in the chat app: what they are offered to, calls that wait for somebody's consent, and their results.

    Order.kit ── equip ──► request with tools ──► the model ── calls ──► Kit.call ── consent, result ──► equip …

A `Kit` belongs to one question, whose answers and calls follow one another; `ToolUse` to the server. What was allowed
for a chat is kept in memory only, so it ends with the server. The rounds themselves: `gadfly.chat.tools.exchange`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gadfly.chat.tools import (
    RESULT_LIMIT,
    AskModel,
    AskUser,
    CallTool,
    Consent,
    Exchange,
    Grants,
    Offer,
    Patience,
    PlannedCall,
    ToolStopped,
)
from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.toolbox import Toolbox
from gadfly.conversation import ChatRequest, Message
from gadfly.errors import NotFoundError
from gadfly.server.app.feeds import Feeds

__all__ = ["Kit", "ToolUse"]

_THREADS = 32  # calls at a time, of everybody
_START = 60.0  # seconds for servers to start in

T = TypeVar("T")
Keep = Callable[[Message], Awaitable[None]]


class ToolUse:
    """Everything here happens on the event loop, but for what waits for servers."""

    def __init__(self, home: Path, offline: bool, feeds: Feeds) -> None:
        self.file = ToolFile(home)
        self.box = Toolbox(self.file, offline)
        self.feeds = feeds
        self._threads = ThreadPoolExecutor(_THREADS, "tool")
        self._grants: dict[tuple[str, str], Grants] = {}
        self._waiting: dict[tuple[str, str, int, str], tuple[PlannedCall, asyncio.Future[Consent]]] = {}

    def kit(self, owner: str, chat: str, allowed: Sequence[str]) -> "Kit | None":
        """For one question; None if nothing is allowed."""
        grants = self._grants.setdefault((owner, chat), Grants()) if allowed else Grants()
        return Kit(self, owner, chat, allowed, grants) if allowed else None

    async def offer(self, allowed: Sequence[str], patience: Patience | None = None) -> Offer:
        """Like `Toolbox.offer`."""
        return await self.run(partial(self.box.offer, allowed, patience or Patience(_START)))

    async def run(self, work: Callable[[], T]) -> T:
        """In a thread of those that may wait for tools, and for nobody else."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def consent(self, owner: str, chat: str, node: int, call: PlannedCall) -> Consent:
        """Ask whoever looks at the chat, for as long as it takes."""
        place = (owner, chat, node, call.id)
        answer: asyncio.Future[Consent] = asyncio.get_running_loop().create_future()
        self._waiting[place] = (call, answer)
        try:
            self.feeds.tell(owner, "consent", {"node": node, "call": call_shape(call)}, chat)
            return await answer
        finally:
            del self._waiting[place]

    def decide(self, owner: str, chat: str, node: int, call: str, consent: Consent) -> None:
        """What somebody says to a call. Raises NotFoundError if it does not wait for that."""
        _, answer = self._waiting.get((owner, chat, node, call), (None, None))
        if answer is None or answer.done():
            raise NotFoundError(f"no call {call!r:.60} waits for consent there")
        answer.set_result(consent)

    def waiting(self, owner: str, chat: str) -> list[dict[str, Any]]:
        """Calls that wait for consent in a chat."""
        return [
            {"node": place[2], "call": call_shape(call)}
            for place, (call, _) in self._waiting.items()
            if place[:2] == (owner, chat)
        ]

    def close(self) -> None:
        """Stop the servers."""
        self.box.close()
        self._threads.shutdown(wait=False)


class Kit:
    """The tools of one question, and how far its calls have come."""

    def __init__(self, use: ToolUse, owner: str, chat: str, allowed: Sequence[str], grants: Grants) -> None:
        self._use = use
        self._owner = owner
        self._chat = chat
        self._allowed = allowed
        self._grants = grants
        self._exchange: Exchange | None = None
        self._stopped = threading.Event()
        self._asking: asyncio.Task[Consent] | None = None

    async def equip(self, request: ChatRequest, node: int, context: int) -> ChatRequest:
        """The request with tools, and with what was called since the question. The first starts servers, and waits."""
        if self._exchange is None:
            offer = await self._use.offer(self._allowed, Patience(_START, self._stopped))
            if offer.problems:
                self._tell("tools", node, problems=offer.problems)
            self._exchange = Exchange(offer, self._grants, limit=min(RESULT_LIMIT, max(context, 1000)))
        step = self._exchange.step
        assert isinstance(step, AskModel)
        return replace(request, messages=(*request.messages, *step.messages), tools=step.tools)

    async def call(self, node: int, message: Message, keep: Keep) -> bool:
        """Have the calls made that the answer `node` wishes for; `keep` gets their results, one after another.

        Returns whether the model is to go on.
        """
        exchange = self._exchange
        assert exchange is not None
        exchange.answered(message)
        exchange.take()
        while isinstance(exchange.step, AskUser | CallTool):
            try:
                await self._do(exchange, exchange.step, node)
            except (ToolStopped, asyncio.CancelledError):
                exchange.stop()
            for result in exchange.take():
                await keep(result)
        for result in exchange.take():  # of calls that made no sense, so nobody was asked
            await keep(result)
        return isinstance(exchange.step, AskModel) and not self._stopped.is_set()

    def stop(self) -> None:
        """Whatever is under way ends soon, and nothing more begins."""
        self._stopped.set()
        if self._asking is not None:
            self._asking.cancel()

    async def _do(self, exchange: Exchange, step: AskUser | CallTool, node: int) -> None:
        if self._stopped.is_set():
            raise ToolStopped("stopped")
        if isinstance(step, AskUser):
            self._asking = asyncio.create_task(self._use.consent(self._owner, self._chat, node, step.call))
            try:
                exchange.decided(await self._asking)
            finally:
                self._asking = None
            return
        self._tell("calling", node, call=call_shape(step.call))
        patience = Patience(step.call.offered.seconds, self._stopped)
        exchange.returned(await self._use.run(partial(step.call.run, patience)))

    def _tell(self, name: str, node: int, **more: Any) -> None:
        self._use.feeds.tell(self._owner, name, {"node": node, **more}, self._chat)


def call_shape(call: PlannedCall) -> dict[str, Any]:
    """As the page shows it before it allows it."""
    return {
        "id": call.id,
        "server": call.offered.server,
        "tool": call.offered.tool.name,
        "title": call.offered.tool.name,
        "arguments": call.shown,
        "description": call.offered.tool.description,
    }
