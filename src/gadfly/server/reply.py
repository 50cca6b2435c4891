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

from gadfly.api.answer import Answer
from gadfly.api.errors import Failure, failure_of
from gadfly.api.stamp import Stamp
from gadfly.conversation import AnswerEvent, Finished
from gadfly.errors import GadflyError
from gadfly.server.answers import Answering, Listener, asking
from gadfly.server.fingerprint import fingerprint
from gadfly.server.models import Loaded
from gadfly.server.record import Record
from gadfly.server.refusals import json_response
from gadfly.server.service import Service, service_of
from gadfly.server.stream import Streamed, unless_gone

__all__ = ["Exchange", "Frames", "reply"]

log = logging.getLogger("gadfly.server")

CLIENT_LEFT = 499  # as nginx writes it: nobody gets to see it


@dataclass(frozen=True)
class Frames:
    """A stream in some dialect: bytes for each event of a choice, for a failure, and for its end.

    `heartbeat` is sent where there has been nothing else for a while; b"" where the dialect has no such thing.
    """

    event: Callable[[AnswerEvent, int], bytes]
    failed: Callable[[Failure], bytes]
    end: bytes = b""
    heartbeat: bytes = b""
    media_type: str = "text/event-stream"


@dataclass(frozen=True)
class Exchange:
    """`ask` submits requests to a model, in a worker thread; their choices are those of the answer.

    Of `frames` and `body` the one is called that the client asked for, by `stream`.
    """

    model: str | None
    ask: Callable[[Loaded, Listener], Sequence[Any]]
    stream: bool
    frames: Callable[[Stamp], Frames]
    body: Callable[[list[Answer], Stamp], Any]
    id_prefix: str = ""


async def reply(request: Request, exchange: Exchange) -> Response:
    """Load the model if need be, ask it, and encode its answer. Raises GadflyError as long as nothing was sent."""
    service, record = service_of(request), Record.of(request.scope)
    name = service.model_name(exchange.model)
    async with AsyncExitStack() as stack:
        loaded = await stack.enter_async_context(service.models.use(name))
        record.model = loaded.name
        answering = await stack.enter_async_context(asking(exchange.ask, loaded))
        stamp = _stamp(service, loaded, exchange.id_prefix)
        if exchange.stream:
            frames = exchange.frames(stamp)
            chunks = _chunks(answering, frames, service.limits.heartbeat, record)
            return Streamed(chunks, frames.media_type, stack.pop_all())
        answers = await unless_gone(request.receive, answering.whole())
        if answers is None:
            return Response(status_code=CLIENT_LEFT)
        for answer in answers:
            record.usages.append(answer.end.usage)
        return json_response(exchange.body(answers, stamp))
    raise AssertionError  # no context above swallows an exception


async def _chunks(
    answering: Answering, frames: Frames, heartbeat: float, record: Record
) -> AsyncGenerator[bytes, None]:
    try:
        async for taken in answering.events(heartbeat if frames.heartbeat else None):
            parts = [frames.event(event, choice) for choice, event in taken]
            record.usages += [event.usage for _, event in taken if isinstance(event, Finished)]
            if chunk := b"".join(parts) if taken else frames.heartbeat:
                yield chunk
        if frames.end:
            yield frames.end
    except Exception as error:  # the status has been sent: what went wrong goes where the answer would have gone on
        if not isinstance(error, GadflyError):
            log.exception("%s failed", record.id)
        yield frames.failed(failure_of(error))


def _stamp(service: Service, loaded: Loaded, prefix: str) -> Stamp:
    made = fingerprint(loaded.model.digest or loaded.name, loaded.llm.kernels, loaded.llm.context)
    return Stamp(f"{prefix}{secrets.token_hex(12)}", service.clock(), loaded.name, made)
