"""From the thread that runs a model's steps to the event loop, and back when a client leaves.

    request ── ask ──► llm.answer(…, listener)      in a worker thread: templates and tokenizers take their time
    step ── listener ──► the loop is woken          in the thread of the model, after every step
    loop ── choice.take() ──► events                whatever has come since the last time, without waiting

No queue is needed in between: what has not been taken waits where it is, and who reads slowly holds up nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from gadfly.answer import Choice
from gadfly.api.answer import Answer
from gadfly.conversation import AnswerEvent
from gadfly.engine import Handle, Listener
from gadfly.server.model import Model

__all__ = ["Answering", "asking"]


class Answering:
    """Answers under way, one for each choice, numbered through."""

    def __init__(self, news: asyncio.Event, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)
        self._news = news

    async def events(self, seconds: float | None = None) -> AsyncIterator[list[tuple[int, AnswerEvent]]]:
        """The events of all choices with their numbers, as many as there are; none after `seconds` without any.

        Raises what makes a request fail.
        """
        while not all(choice.finished for choice in self.choices):
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                yield []
                continue
            self._news.clear()
            taken = [(number, event) for number, choice in enumerate(self.choices) for event in choice.take()]
            if taken:
                self._news.set()  # an error comes by itself, after what was there before it
                yield taken

    async def whole(self) -> list[Answer]:
        """All answers, when all are finished."""
        answers = [Answer() for _ in self.choices]
        async for taken in self.events():
            for number, event in taken:
                answers[number].add(event)
        return answers


@asynccontextmanager
async def asking(ask: Callable[[Model, Listener], Sequence[Choice]], model: Model) -> AsyncIterator[Answering]:
    """Ask a model. `ask` submits requests and returns the choices of their answers, all of which end with the block."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: Handle) -> None:
        loop.call_soon_threadsafe(news.set)

    choices = await asyncio.to_thread(ask, model, wake)
    news.set()  # something may have come before anybody could hear of it
    try:
        yield Answering(news, choices)
    finally:
        for choice in choices:
            choice.cancel()
