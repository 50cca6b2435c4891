"""The ASGI application: routes inside, the gate around them, the record around everything.

Recorder ── Gate ── FastAPI ── routes
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gadfly.allocator import give_back
from gadfly.errors import GadflyError
from gadfly.server.app import routes as app_routes
from gadfly.server.app.chat_app import ChatApp
from gadfly.server.gate import Gate, House
from gadfly.server.record import Record, Recorder
from gadfly.server.refusals import CLIENT_LEFT, Refused, refusal
from gadfly.server.routes import (
    anthropic,
    files,
    fine_tuning,
    ollama,
    ollama_library,
    openai,
    operations,
    responses,
)
from gadfly.server.schemas import FAILURES
from gadfly.server.service import Service
from gadfly.server.workshop.workshop import Workshop

__all__ = ["create_app"]

log = logging.getLogger("gadfly.server")

_SWEEP = 1.0  # seconds between looks at which models nobody uses
_RENEWED = 600.0  # seconds that loading a model anew may take
_REST = 3  # such looks at which nothing was going on: then memory is given back that the latest requests took


def create_app(service: Service, house: House, chat_app: ChatApp | None = None) -> Recorder:
    """One application for `service`, which `house` guards, with or without the chat app.

    It closes the app and the service's models when it is shut down.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if service.workshop:
            _open(service.workshop, service)
        sweeping = asyncio.create_task(_sweep(service, chat_app))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            if service.workshop:
                await asyncio.to_thread(service.workshop.close)
            if chat_app:
                await chat_app.close()
            await service.models.close()

    app = FastAPI(
        title="Gadfly",
        version=version("gadfly"),
        lifespan=lifespan,
        docs_url=None,  # pages that would fetch their scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    for each in (openai, responses, files, fine_tuning, anthropic, ollama, ollama_library, operations):
        app.include_router(each.routes, responses=FAILURES)
    if chat_app:
        app.state.chat_app = chat_app
        for router in app_routes.all_of(chat_app.page):
            app.include_router(router, responses=FAILURES)
    app.add_exception_handler(GadflyError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(ClientDisconnect, _let_go)
    app.add_exception_handler(Exception, _refuse)
    service.metrics.watch(lambda: service.models.loaded)
    return Recorder(Gate(app, house), service.metrics.observe)


def _open(workshop: Workshop, service: Service) -> None:
    """Its runs begin, and models are loaded anew for what comes of them."""
    loop = asyncio.get_running_loop()

    def renew(model: str) -> None:
        try:
            asyncio.run_coroutine_threadsafe(service.models.renew(model), loop).result(_RENEWED)
        except (GadflyError, TimeoutError) as error:  # what was learnt is there all the same
            log.warning("%s is not loaded anew yet: %s", model, error)

    workshop.renew = renew
    workshop.start()


async def _sweep(service: Service, chat_app: ChatApp | None) -> None:
    rested = 0
    while True:
        await asyncio.sleep(_SWEEP)
        await service.models.sweep()
        rested = rested + 1 if service.models.idle else 0
        if rested == _REST:
            await asyncio.to_thread(give_back)
        try:
            if chat_app:
                await chat_app.look_around()
        except Exception as error:  # of a disk, say, which may be well again the next time
            log.warning("looking around failed: %s", error, exc_info=not isinstance(error, GadflyError))


async def _refuse(request: Request, error: Exception) -> Response:
    return refusal(error, request.url.path, Record.of(request.scope).id)


async def _let_go(_: Request, __: Exception) -> Response:
    """Who left in the middle of a request is told nothing."""
    return Response(status_code=CLIENT_LEFT)


async def _refuse_http(request: Request, error: Exception) -> Response:
    """A path or a method that is not there."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        refused = Refused("invalid", f"{path:.100} does not take {request.method}", error.headers, 405)
    else:
        refused = Refused("missing", f"there is nothing at {path:.100}", error.headers, error.status_code)
    return await _refuse(request, refused)
