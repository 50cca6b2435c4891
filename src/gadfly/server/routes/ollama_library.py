"""Ollama's dialect for the files of models: pull, copy and delete, within the library and by name alone.

What a client names is a model of the catalogue or a repository of the hub, never a file here or an address elsewhere.
`create` is refused: here a manner of speaking is a persona's affair, and a file is made with `gadfly convert`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from gadfly.api.errors import failure_of, ollama_error
from gadfly.api.fields import Fields
from gadfly.api.ollama_models import pull_progress, read_copy
from gadfly.api.ollama_request import read_model
from gadfly.errors import GadflyError
from gadfly.hub.adopt import adopt
from gadfly.hub.library import Library
from gadfly.hub.progress import Silent
from gadfly.hub.pull import Network, pull, require_name
from gadfly.server.pulling import Pulling
from gadfly.server.record import Record
from gadfly.server.refusals import Refused, json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import Streamed, json_line

__all__ = ["routes"]

routes = APIRouter(tags=["Ollama"])
log = logging.getLogger("gadfly.server")

_NDJSON = "application/x-ndjson"


@routes.post("/api/pull", openapi_extra=body("/api/pull"))
async def fetch(request: Request) -> Response:
    """Bring a model here; a pull whose client leaves stops, and goes on from there the next time."""
    fields = Fields(await body_of(request))
    name, streamed = read_model(fields), fields.flag("stream", True)
    service = service_of(request)
    library, network = _library(request), Network.from_environment(offline=service.offline)
    news = asyncio.Event()
    pulling = Pulling("pulling manifest", news.set)

    async def work() -> None:
        await service.with_files(lambda: pull(name, library, network, pulling, trusted=False))

    if not streamed:
        await work()
        return json_response(pull_progress("success"))
    stack = AsyncExitStack()
    stack.callback(pulling.stop)
    return Streamed(_lines(asyncio.create_task(work()), pulling, news, Record.of(request.scope).id), _NDJSON, stack)


@routes.post("/api/copy", openapi_extra=body("/api/copy"))
async def copy(request: Request) -> Response:
    """Give a model a second name, with the same bytes on disk where the disk can do that."""
    source, destination = read_copy(await body_of(request))
    library = _library(request)
    require_name(destination)
    await service_of(request).with_files(lambda: adopt(library.find(source).path, library, Silent(), destination))
    return Response()


@routes.delete("/api/delete", openapi_extra=body("/api/delete"))
async def delete(request: Request) -> Response:
    """Remove a model, unloaded first; one that was named at the start stays."""
    name, library = read_model(Fields(await body_of(request))), _library(request)
    await service_of(request).models.forget(name)
    await service_of(request).with_files(lambda: library.remove(name))
    return Response()


@routes.post("/api/create")
async def create(_: Request) -> Response:
    """Refused, with what to do instead."""
    raise Refused("invalid", "models are not made here; see gadfly convert for files and personas for manners", {}, 501)


async def _lines(
    task: asyncio.Task[None], pulling: Pulling, news: asyncio.Event, request_id: str
) -> AsyncGenerator[bytes, None]:
    def line() -> bytes:
        return json_line(pull_progress(pulling.text, pulling.text, pulling.total or 0, pulling.done))

    yield line()
    task.add_done_callback(lambda _: news.set())
    try:
        while not task.done():
            await news.wait()
            news.clear()
            yield line()
        await task
        yield json_line(pull_progress("success"))
    except Exception as error:
        if not isinstance(error, GadflyError):
            log.exception("%s failed", request_id)
        yield json_line(ollama_error(failure_of(error)))


def _library(request: Request) -> Library:
    library = service_of(request).library
    if library is None:
        raise Refused("forbidden", "this server has no library of its own")
    return library
