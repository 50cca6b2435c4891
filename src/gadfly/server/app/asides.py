"""Small things that a model is asked in passing: a title, questions that could come next. Answers always go before.

Nobody waits for these. Where the model is not loaded, busy or not up to it, there is simply nothing: what it says is
taken only if it has the right form and at least one word in common with what it is about.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gadfly.answer import Choice
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, Message, Regex
from gadfly.engine import Listener
from gadfly.errors import GadflyError
from gadfly.server.answers import asking
from gadfly.server.models import Models

__all__ = ["Asides", "read_suggestions", "read_title", "suggestions", "title"]

_SECONDS = 30.0  # of work
_SEEN = 600  # characters of a message
_LAST = 4  # messages
_CLIENT = "in passing"  # whose turn is that of one client, whoever asks
_GREEDY = Sampling(temperature=0.0, repetition_penalty=1.1)

_TITLE = "Give this conversation a title of two to six words, in its language. Write the title only."
_NEXT = "Write three short questions that I could ask next, to get to the bottom of this. Write the questions only."
_NEXT_FORM = "\n".join(rf"{number}\. \p{{L}}[^\n?.]{{8,90}}\?" for number in (1, 2, 3))
_TITLE_WORDS, _TITLE_LENGTH = 8, 60
_TELLING = re.compile(r"\w{5,}")  # words that are long enough to be about something


def title(messages: Sequence[Message]) -> ChatRequest:
    """Asks for a title of what has been said; `read_title` reads it."""
    return _about(messages[:2], _TITLE, None, 24)


def read_title(text: str, messages: Sequence[Message]) -> str | None:
    """The title in what a model has said; None if that is none, or is not about these messages."""
    line = text.strip().partition("\n")[0].removeprefix("Title:").strip(" \t\"'*#_.:“”„«»")
    if not 3 <= len(line) <= _TITLE_LENGTH or len(line.split()) > _TITLE_WORDS or not _is_about(line, messages):
        return None
    return line


def suggestions(messages: Sequence[Message]) -> ChatRequest:
    """Asks for questions; `read_suggestions` reads them."""
    return _about(messages[-_LAST:], _NEXT, Regex(_NEXT_FORM), 120)


def read_suggestions(text: str, messages: Sequence[Message]) -> list[str]:
    """Of the questions that a model has thought of, those that are about these messages and in none of them."""
    said = "\n".join(one.content for one in messages)
    found = [line.partition(". ")[2].strip() for line in text.splitlines()]
    return [one for one in dict.fromkeys(found) if one.endswith("?") and one not in said and _is_about(one, messages)]


def _is_about(text: str, messages: Sequence[Message]) -> bool:
    """Whether they have a word in common: small models like to speak of something else."""
    said = " ".join(one.content for one in messages).casefold()
    return any(word in said for word in _TELLING.findall(text.casefold()))


class Asides:
    """`busy` says whether answers are being written. `cancel` makes room for one that is about to."""

    def __init__(self, models: Models, busy: Callable[[], bool]) -> None:
        self._models = models
        self._busy = busy
        self._choices: set[Choice] = set()
        self._one_by_one = asyncio.Lock()

    async def ask(self, model: str, request: ChatRequest) -> str | None:
        """What the model says, whole; None if it had better things to do, or could not."""
        async with self._one_by_one:
            if self._busy() or model not in {loaded.name for loaded in self._models.loaded}:
                return None
            try:
                async with self._models.use(model) as loaded, asking(_once(request), loaded.llm) as answering:
                    self._choices.update(answering.choices)
                    try:
                        (answer,) = await answering.whole()
                    finally:
                        self._choices.difference_update(answering.choices)
            except GadflyError:
                return None
            return None if answer.end.reason == "cancelled" else answer.text

    def cancel(self) -> None:
        for choice in self._choices:
            choice.cancel()


def _about(messages: Sequence[Message], question: str, form: Regex | None, most: int) -> ChatRequest:
    told = [replace(one, content=one.content[:_SEEN], reasoning="", tool_calls=()) for one in messages]
    return ChatRequest((*told, Message("user", question)), most, _GREEDY, format=form, truncate=True)


def _once(request: ChatRequest) -> Callable[[Any, Listener], Sequence[Choice]]:
    def ask(llm: Any, listener: Listener) -> Sequence[Choice]:
        choices: Sequence[Choice] = llm.answer(request, listener, client=_CLIENT, seconds=_SECONDS).choices
        return choices

    return ask
