"""An exchange: a request that a model answers, at once or as a stream, in the shape of any dialect.

Routes say how to ask and how to encode; everything that lies between is the same for all of them and is here.
"""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from gadfly.answer import Choice
from gadfly.api.answer import Answer
from gadfly.api.errors import Failure, failure_of
from gadfly.api.stamp import Stamp
from gadfly.completion import Usage
from gadfly.conversation import AnswerEvent, ChatRequest, TextRequest
from gadfly.engine import Listener
from gadfly.errors import GadflyError
from gadfly.server.answers import Answering, asking
from gadfly.server.fingerprint import fingerprint
from gadfly.server.loaded import Loaded
from gadfly.server.model import Model
from gadfly.server.record import Record
from gadfly.server.refusals import CLIENT_LEFT, json_response
from gadfly.server.service import service_of, with_adapters
from gadfly.server.stream import Streamed, unless_gone

__all__ = ["Dialect", "Exchange", "Start", "Stream", "reply"]

log = logging.getLogger("gadfly.server")


@dataclass(frozen=True)
class Start:
    """What is known when an answer begins: `load_seconds` passed until the model was there.

    `usages` are those of all choices so far.
    """

    stamp: Stamp
    load_seconds: float
    usages: Callable[[], Sequence[Usage]]


class Stream(Protocol):
    """What to send for each event of a choice, and if the answer cannot go on."""

    def events(self, event: AnswerEvent, choice: int = 0, /) -> Sequence[Any]: ...
    def failed(self, failure: Failure) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Dialect:
    """How an API sends answers. `id` begins theirs, `frame` makes bytes of what a stream sends, `end` is behind it all.

    `heartbeat` is sent where there has been nothing else for a while; b"" where the dialect has no such thing.
    """

    frame: Callable[[Any], bytes]
    id: str = ""
    end: bytes = b""
    heartbeat: bytes = b""
    media_type: str = "text/event-stream"


@dataclass(frozen=True)
class Exchange:
    """`requests` are answered by one model; the choices of all of them are numbered through.

    `stream` or `body` makes what is sent, as the client wants it `streamed` or whole. `keep` says how many seconds the
    model stays afterwards (None: as it is). `finished` hears of all that was answered.
    """

    dialect: Dialect
    model: str | None
    requests: Sequence[ChatRequest | TextRequest]
    streamed: bool
    stream: Callable[[Start], Stream]
    body: Callable[[list[Answer], Start], Any]
    keep: float | None = None
    finished: Callable[[list[Answer], Start], None] = lambda *_: None


async def reply(request: Request, exchange: Exchange) -> Response:
    """Load the model if need be, ask it, and encode its answer. Raises GadflyError as long as nothing was sent."""
    service, record = service_of(request), Record.of(request.scope)
    began = service.clock()
    async with AsyncExitStack() as stack:
        name = service.model_name(exchange.model)
        requests = with_adapters(exchange.requests, await service.models.adapters(name))
        loaded = await stack.enter_async_context(service.models.use(name))
        record.model = loaded.name
        if exchange.keep is not None:
            service.models.keep(loaded, exchange.keep)
        load_seconds = service.clock() - began
        answering = await stack.enter_async_context(asking(_asked(requests, record.client), loaded.llm))
        stamp = Stamp(f"{exchange.dialect.id}{secrets.token_hex(12)}", service.clock(), loaded.name)
        computed = _fingerprint(loaded)

        def usages() -> list[Usage]:
            return [choice.usage for choice in answering.choices]

        def start() -> Start:
            first = answering.choices[0]
            made = computed if first.fingerprint is None else first.fingerprint
            return Start(replace(stamp, fingerprint=made), load_seconds, usages)

        if exchange.streamed:
            chunks = _chunks(answering, exchange, start, service.limits.heartbeat, record)
            return Streamed(chunks, exchange.dialect.media_type, stack.pop_all())
        answers = await unless_gone(request.receive, answering.whole())
        if answers is None:
            return Response(status_code=CLIENT_LEFT)
        _note(record, answers)
        exchange.finished(answers, start())
        return json_response(exchange.body(answers, start()))
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
    answering: Answering, exchange: Exchange, start: Callable[[], Start], heartbeat: float, record: Record
) -> AsyncGenerator[bytes, None]:
    answers, dialect = [Answer() for _ in answering.choices], exchange.dialect
    stream: Stream | None = None  # begun with the first event: by then it is known what the prompt took
    try:
        async for taken in answering.events(heartbeat if dialect.heartbeat else None):
            if not taken:
                yield dialect.heartbeat
                continue
            stream = stream or exchange.stream(start())
            sent: list[bytes] = []
            for choice, event in taken:
                answers[choice].add(event)
                sent += map(dialect.frame, stream.events(event, choice))
            if sent:
                yield b"".join(sent)
        _note(record, answers)
        exchange.finished(answers, start())
        if dialect.end:
            yield dialect.end
    except Exception as error:  # the status has been sent: what went wrong goes where the answer would have gone on
        if not isinstance(error, GadflyError):
            log.exception("%s failed", record.id)
        stream = stream or exchange.stream(start())
        yield b"".join(map(dialect.frame, stream.failed(failure_of(error))))


def _note(record: Record, answers: Sequence[Answer]) -> None:
    record.usages = [answer.end.usage for answer in answers]


def _fingerprint(loaded: Loaded) -> str:
    llm = loaded.llm  # one that runs elsewhere has no kernels, and nothing is known of what it depends on
    if not llm.kernels:
        return ""
    return fingerprint(loaded.model.digest or loaded.name, llm.kernels, llm.context, adapters=llm.adapters.digest)
