"""An exchange: a request that a model answers, at once or as a stream, in the shape of any dialect.

Routes say how to ask and how to encode; everything that lies between is the same for all of them and is here.
"""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gadfly.answer import Choice
from gadfly.api.answer import Answer
from gadfly.api.errors import Failure, failure_of
from gadfly.api.stamp import Stamp
from gadfly.conversation import AnswerEvent, ChatRequest, TextRequest
from gadfly.engine import Listener
from gadfly.errors import GadflyError
from gadfly.server.answers import Answering, asking
from gadfly.server.fingerprint import fingerprint
from gadfly.server.models import Loaded, Model
from gadfly.server.record import Record
from gadfly.server.refusals import CLIENT_LEFT, json_response
from gadfly.server.service import Service, service_of
from gadfly.server.stream import Streamed, unless_gone

__all__ = ["Encoder", "Exchange", "Start", "reply"]

log = logging.getLogger("gadfly.server")


@dataclass(frozen=True)
class Start:
    """What an encoder can know before the first token: `load_seconds` passed until the model was there."""

    stamp: Stamp
    load_seconds: float


@dataclass(frozen=True)
class Encoder:
    """A stream in some dialect: bytes for each event of a choice, for a failure, and for the end.

    `heartbeat` is sent where there has been nothing else for a while; b"" where the dialect has no such thing.
    """

    event: Callable[[AnswerEvent, int], bytes]
    failed: Callable[[Failure], bytes]
    end: bytes = b""
    heartbeat: bytes = b""
    media_type: str = "text/event-stream"


@dataclass(frozen=True)
class Exchange:
    """`requests` are answered by one model; the choices of all of them are numbered through.

    `stream` None: the answer is wanted whole, and `body` makes it. `id` begins the id of the answer, `keep` says how
    many seconds the model stays afterwards (None: as it is). `finished` hears of all that was answered.
    """

    model: str | None
    requests: Sequence[ChatRequest | TextRequest]
    stream: Callable[[Start], Encoder] | None
    body: Callable[[list[Answer], Start], Any]
    id: str = ""
    keep: float | None = None
    finished: Callable[[list[Answer], Start], None] = lambda *_: None


async def reply(request: Request, exchange: Exchange) -> Response:
    """Load the model if need be, ask it, and encode its answer. Raises GadflyError as long as nothing was sent."""
    service, record = service_of(request), Record.of(request.scope)
    began = service.clock()
    async with AsyncExitStack() as stack:
        loaded = await stack.enter_async_context(service.models.use(service.model_name(exchange.model)))
        record.model = loaded.name
        if exchange.keep is not None:
            service.models.keep(loaded, exchange.keep)
        load_seconds = service.clock() - began
        answering = await stack.enter_async_context(asking(_asked(exchange.requests, record.client), loaded.llm))
        stamp = _stamp(service, loaded, exchange.id)
        start = Start(stamp, load_seconds)
        if exchange.stream is not None:
            encoder = exchange.stream(start)
            chunks = _chunks(answering, exchange, encoder, start, service.limits.heartbeat, record)
            return Streamed(chunks, encoder.media_type, stack.pop_all())
        answers = await unless_gone(request.receive, answering.whole())
        if answers is None:
            return Response(status_code=CLIENT_LEFT)
        _note(record, answers)
        exchange.finished(answers, start)
        return json_response(exchange.body(answers, start))
    raise AssertionError  # no context above swallows an exception


def _asked(requests: Sequence[ChatRequest | TextRequest], client: str) -> Callable[[Model, Listener], Sequence[Choice]]:
    def ask(llm: Model, listener: Listener) -> list[Choice]:
        answers = [
            llm.answer(each, listener, client=client)
            if isinstance(each, ChatRequest)
            else llm.complete(each, listener, client=client)
            for each in requests
        ]
        return [choice for answer in answers for choice in answer.choices]

    return ask


async def _chunks(
    answering: Answering, exchange: Exchange, encoder: Encoder, start: Start, heartbeat: float, record: Record
) -> AsyncGenerator[bytes, None]:
    answers = [Answer() for _ in answering.choices]
    try:
        async for taken in answering.events(heartbeat if encoder.heartbeat else None):
            for choice, event in taken:
                answers[choice].add(event)
            chunk = b"".join(encoder.event(event, choice) for choice, event in taken) if taken else encoder.heartbeat
            if chunk:
                yield chunk
        _note(record, answers)
        exchange.finished(answers, start)
        if encoder.end:
            yield encoder.end
    except Exception as error:  # the status has been sent: what went wrong goes where the answer would have gone on
        if not isinstance(error, GadflyError):
            log.exception("%s failed", record.id)
        yield encoder.failed(failure_of(error))


def _note(record: Record, answers: Sequence[Answer]) -> None:
    record.usages = [answer.end.usage for answer in answers]


def _stamp(service: Service, loaded: Loaded, prefix: str) -> Stamp:
    llm = loaded.llm  # one that runs elsewhere has no kernels, and nothing is known of what it depends on
    made = fingerprint(loaded.model.digest or loaded.name, llm.kernels, llm.context) if llm.kernels else ""
    return Stamp(f"{prefix}{secrets.token_hex(12)}", service.clock(), loaded.name, made)
