"""How much of a model's context a conversation would fill, before anybody asks for an answer to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gadfly.answer.prompt import fitting, spoken
from gadfly.conversation import Message
from gadfly.errors import ContextError
from gadfly.server.app.terms import Asked
from gadfly.server.model import Model

__all__ = ["Measure", "measure"]


@dataclass(frozen=True)
class Measure:
    """Of the `context`, `room` tokens are for the prompt, which would take `tokens` and be shortened to `shown`.

    `dropped` messages of the conversation would be left out; `fits` False: not even the last one has room.
    """

    tokens: int
    context: int
    room: int
    shown: int
    dropped: int
    fits: bool


def measure(llm: Model, asked: Asked, messages: Sequence[Message]) -> Measure:
    """Raises UnsupportedError for a model that does not tell its tokens. Takes time: not for an event loop."""
    asked = asked.beside(llm.adapters)
    request = asked.request(messages)
    told = list(request.messages)
    if request.persona is not None:
        told = spoken(asked.persona, asked.wit, told)
    context = llm.context
    room = context - min(asked.max_tokens, context // 4)
    tokens = len(llm.prompt_ids(told))
    if tokens <= room:
        return Measure(tokens, context, room, tokens, 0, True)
    try:
        ids, dropped = fitting(told, llm.prompt_ids, context, room, truncate=True)
    except ContextError:
        return Measure(tokens, context, room, 0, len(messages) - 1, False)
    return Measure(tokens, context, room, len(ids), asked.dropped(dropped), True)
