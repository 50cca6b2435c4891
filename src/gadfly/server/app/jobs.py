"""Answers that the server writes by itself: they end when the model ends, when somebody stops them, or with the server.

    routes ── begin ──► Job ── asks the model, keeps what comes ──► store
                         └── tells the feeds of pages that look at its chat

A page that leaves changes nothing. If the process dies, the store has what was written up to half a second before.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any, Literal

from gadfly.answer import Choice
from gadfly.api.answer import Answer
from gadfly.api.errors import failure_of
from gadfly.chat.store import Node, Provenance, Store, Writing
from gadfly.conversation import Message, ReasoningDelta, TextDelta, ToolCall
from gadfly.engine import Listener
from gadfly.errors import BusyError, GadflyError, NotFoundError
from gadfly.server.answers import Answering, asking
from gadfly.server.app.feeds import Feeds, event
from gadfly.server.app.job import Job, Order
from gadfly.server.app.shapes import node_shape
from gadfly.server.app.trace import trace_of
from gadfly.server.loaded import Loaded
from gadfly.server.models import Models

__all__ = ["Jobs"]

log = logging.getLogger("gadfly.server")

_SAVE = 0.5  # seconds between two looks of the store at what there is
_MOST = 16  # answers of one owner at a time


class Jobs:
    """Everything here happens on the event loop, but for what waits for the disk."""

    def __init__(
        self,
        models: Models,
        store: Store,
        feeds: Feeds,
        beginning: Callable[[], None] = lambda: None,
        changed: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """`beginning` is called before each answer; `changed` hears of owners and chats in which one has ended."""
        self._models = models
        self._store = store
        self._feeds = feeds
        self._beginning = beginning
        self._changed = changed
        self._jobs: dict[int, Job] = {}
        self._closed = False

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def of(self, owner: str, chat: str | None = None) -> list[Job]:
        """Those under way, in a chat or in all."""
        return [one for one in self._jobs.values() if one.order.owner == owner and chat in (None, one.order.chat)]

    def find(self, owner: str, chat: str, node: int) -> Job | None:
        found = self._jobs.get(node)
        return found if found and (found.order.owner, found.order.chat) == (owner, chat) else None

    def require_room(self, owner: str, count: int = 1) -> None:
        """Raises BusyError if so many more would be too many."""
        if self._closed:
            raise BusyError("the server is about to end", 10.0)
        if len(self.of(owner)) + count > _MOST:
            raise BusyError(f"{_MOST} answers are being written already; wait for one, or stop it", 5.0)

    def begin(self, order: Order, writing: Writing, provenance: Provenance) -> Job:
        """Have an answer written from now on."""
        self._beginning()
        job = self._jobs[writing.node.id] = Job(order, writing, provenance)
        for feed in self._feeds.of(order.owner, order.chat):
            feed.put(event("node", {"node": job.shape()}))
            feed.follow(job)
        job.task = asyncio.create_task(self._run(job))
        return job

    async def end(self, job: Job, how: Literal["stopped", "interrupted"] = "stopped") -> None:
        """Stop an answer, and return when it is kept."""
        job.end(how)
        if job.task is not None:
            await asyncio.wait([job.task])

    async def close(self, seconds: float) -> None:
        """End all answers; what there is of them is kept, as interrupted, also of those that do not end by then."""
        self._closed = True
        for job in self._jobs.values():
            job.end("interrupted")
        if tasks := [job.task for job in self._jobs.values() if job.task is not None]:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            if late:
                log.warning(
                    "%d answers did not end in %g seconds; the server does not wait for them", len(late), seconds
                )
                for task in late:
                    task.cancel()
                await asyncio.wait(late, timeout=seconds)

    async def _run(self, job: Job) -> None:
        answer, node = Answer(), None
        try:
            node = await self._written(job, answer)
        except asyncio.CancelledError:  # before the model had begun
            job.ending = job.ending or "interrupted"
            node = await self._kept(job, answer)
        except NotFoundError as error:  # of the model, or the chat is gone for good
            node = await self._failed(job, error)
        except Exception as error:
            if not isinstance(error, GadflyError):
                log.exception("an answer failed")
            node = await self._failed(job, error)
        finally:
            job.kept = node
            shape = node_shape(node) if node else {**job.shape(), "state": job.ending or "failed"}
            for feed in self._feeds.of(job.order.owner, job.order.chat):
                feed.finish(job, event("finished", {"node": shape}))
            try:
                if node is not None and node.message.tool_calls and job.ending is None:
                    await self._go_on(job, node)
            finally:
                del self._jobs[job.node]
                self._changed(job.order.owner, job.order.chat)

    async def _go_on(self, job: Job, node: Node) -> None:
        """Have the tools called that an answer wishes for, and then have another answer written."""
        order, last = job.order, node.id
        if order.kit is None:
            return

        async def keep(result: Message) -> None:
            nonlocal last
            kept = await asyncio.to_thread(self._store.say, order.owner, order.chat, last, result)
            last = kept.id
            self._feeds.tell(order.owner, "node", {"node": node_shape(kept)}, order.chat)

        with suppress(NotFoundError):  # of a chat that was deleted meanwhile
            if await order.kit.call(node.id, node.message, keep) and job.ending is None:
                asked = replace(job.provenance, finish=None, usage={}, dropped=0)
                writing = await asyncio.to_thread(self._store.begin, order.owner, order.chat, last, asked)
                following = self.begin(replace(order, text="", reasoning="", before=None), writing, asked)
                if job.ending is not None:  # meanwhile
                    following.end(job.ending)

    async def _written(self, job: Job, answer: Answer) -> Node | None:
        async with self._models.use(job.order.asked.model) as loaded:
            tells = bool(loaded.llm.kernels)
            asked = job.order.asked.beside(loaded.llm.adapters)
            job.order = replace(job.order, asked=asked)
            job.provenance = replace(_made_by(job.provenance, loaded), adapters=dict(asked.adapters))
            request = asked.request(job.order.messages, job.order.text, tells)
            if job.order.kit is not None:
                request = await job.order.kit.equip(request, job.node, loaded.llm.context)
            use = _expert_use(loaded)

            def ask(llm: Any, listener: Listener) -> Sequence[Choice]:
                choices: Sequence[Choice] = llm.answer(request, listener, client=job.order.owner).choices
                return choices

            async with asking(ask, loaded.llm) as answering:
                job.choices = answering.choices
                if job.ending:
                    job.end(job.ending)
                await self._listen(job, answering, answer)
            trace = None
            if tells:
                prompt = job.choices[0].prompt
                trace = await asyncio.to_thread(
                    trace_of, answer, prompt, loaded.llm.tokenizer, _since(use, _expert_use(loaded)), job.order
                )
            return await self._kept(job, answer, trace)

    async def _listen(self, job: Job, answering: Answering, answer: Answer) -> None:
        text, reasoning, saved = "", "", time.monotonic()
        async for taken in answering.events():
            for _, one in taken:
                answer.add(one)
                if isinstance(one, TextDelta | ReasoningDelta) and one.text:
                    thought = isinstance(one, ReasoningDelta)
                    job.pieces.append((thought, one.text))
                    text, reasoning = text + one.text * (not thought), reasoning + one.text * thought
            for feed in self._feeds.of(job.order.owner, job.order.chat):
                feed.more()
            if time.monotonic() - saved >= _SAVE:
                await asyncio.to_thread(job.writing.write, text, reasoning)
                text, reasoning, saved = "", "", time.monotonic()

    async def _kept(self, job: Job, answer: Answer, trace: Mapping[str, Any] | None = None) -> Node | None:
        """In the store, under the state that it has come to."""
        end, provenance = answer.finished, job.provenance
        if end is not None:
            usage = {**asdict(end.usage), "reasoning_tokens": end.reasoning_tokens}
            provenance = replace(
                provenance, finish=end.reason, usage=usage, dropped=job.order.asked.dropped(end.dropped)
            )
            if end.reason == "cancelled":
                job.ending = job.ending or "stopped"
        calls: tuple[ToolCall, ...] = tuple(answer.tool_calls)
        message = Message("assistant", job.text, job.reasoning, calls)
        return await asyncio.to_thread(_keep, job, message, provenance, trace)

    async def _failed(self, job: Job, error: Exception) -> Node | None:
        with suppress(NotFoundError):  # a chat that was deleted meanwhile has no place for it
            return await asyncio.to_thread(_fail, job, failure_of(error).message)
        return None


def _keep(job: Job, message: Message, provenance: Provenance, trace: Mapping[str, Any] | None) -> Node | None:
    writing = job.writing
    if job.ending is None:
        return writing.finish(message, provenance, trace)
    _complete(writing, message.content, message.reasoning)
    if job.ending == "stopped":
        return writing.stop(provenance, trace)
    writing.flush()  # whoever opens the store next sees that its writer has gone
    return None


def _fail(job: Job, error: str) -> Node:
    _complete(job.writing, job.text, job.reasoning)
    return job.writing.fail(error, job.provenance)


def _complete(writing: Writing, text: str, reasoning: str) -> None:
    """Give it what it has not been given yet."""
    writing.write(text[len(writing.text) :], reasoning[len(writing.reasoning) :])


def _made_by(provenance: Provenance, loaded: Loaded) -> Provenance:
    """With what is known of a model once it is loaded."""
    build = {"version": version("gadfly"), "kernels": loaded.llm.kernels, "context": loaded.llm.context}
    card = loaded.model
    return replace(
        provenance,
        model=loaded.name,
        digest=card.digest or None,
        licence=card.licence or None,
        build={**provenance.build, **build},
    )


def _expert_use(loaded: Loaded) -> tuple[int, list[list[int]]] | None:
    """Of a mixture of experts that nobody else is using: how many answers it has finished, and what its experts did."""
    use = getattr(loaded.llm, "expert_use", None)
    if use is None or loaded.users != 1 or (found := use()) is None:
        return None
    return loaded.llm.counts().finished, found


def _since(
    before: tuple[int, list[list[int]]] | None, after: tuple[int, list[list[int]]] | None
) -> list[list[int]] | None:
    """Tokens that each expert of each layer was given for one answer; None if there was another one meanwhile."""
    if before is None or after is None or after[0] - before[0] > 1:
        return None
    return [[new - old for old, new in zip(*layers, strict=True)] for layers in zip(before[1], after[1], strict=True)]
