"""Runs of the workshop: planned, begun, watched, stopped, resumed and removed."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from fastapi import APIRouter, Request, Response

from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.app.feeds import event
from gadfly.server.app.routes.workshop import workshop_for
from gadfly.server.app.workshop_shapes import opened_shape, run_shape
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import Streamed
from gadfly.server.workshop.draft import read_draft
from gadfly.server.workshop.job import Job
from gadfly.server.workshop.workshop import Workshop

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/workshop/runs", tags=["App"])


@routes.get("")
async def every(request: Request) -> Response:
    """One's own, the latest first."""
    workshop, owner = workshop_for(request)
    runs = await asyncio.to_thread(lambda: [run_shape(workshop, job) for job in workshop.jobs.list(owner)])
    return json_response({"runs": runs})


@routes.post("", openapi_extra=body("/app/api/workshop/runs"))
async def draft(request: Request) -> Response:
    """Plan a run: its data is gathered, and some of its steps are timed. With `start` it is begun at once."""
    workshop, owner = workshop_for(request)
    asked = read_draft(await body_of(request))
    asked = replace(asked, model=await service_of(request).models.named(asked.model))
    async with chat_app_of(request).reading:
        job = await asyncio.to_thread(workshop.draft, owner, asked)
    return await _told(workshop, job, 201)


@routes.get("/{id}")
async def one(request: Request, id: str) -> Response:  # noqa: A002
    """One of them, with its curve."""
    workshop, owner = workshop_for(request)
    shape, _ = await asyncio.to_thread(lambda: opened_shape(workshop, workshop.jobs.get(id, owner)))
    return json_response(shape)


@routes.post("/{id}/start")
async def start(request: Request, id: str) -> Response:  # noqa: A002
    """Have one run that was planned."""
    return await _moved(request, id, Workshop.launch)


@routes.post("/{id}/stop")
async def stop(request: Request, id: str) -> Response:  # noqa: A002
    """Have one wait until it is resumed; it keeps what it has learnt."""
    return await _moved(request, id, Workshop.stop)


@routes.post("/{id}/resume")
async def resume(request: Request, id: str) -> Response:  # noqa: A002
    """Have one go on that was stopped or cancelled, or has failed."""
    return await _moved(request, id, Workshop.resume)


@routes.delete("/{id}")
async def remove(request: Request, id: str, adapter: bool = False) -> Response:  # noqa: A002
    """Remove one and, with `adapter`, what came of it."""
    workshop, owner = workshop_for(request)
    await asyncio.to_thread(workshop.delete, owner, id, adapter)
    return json_response({})


@routes.get("/{id}/events", include_in_schema=False)
async def events(request: Request, id: str) -> Response:  # noqa: A002
    """What a page hears that looks at one: first all that is known, then everything that comes."""
    workshop, owner = workshop_for(request)
    app, stack = chat_app_of(request), AsyncExitStack()
    assert app.runs is not None
    async with app.runs.looking:
        shape, count = await asyncio.to_thread(lambda: opened_shape(workshop, workshop.jobs.get(id, owner)))
        feed = stack.enter_context(app.feeds.open(owner, id))
        app.runs.follow(feed, count)
    chunks = feed.chunks(event("snapshot", shape), service_of(request).limits.heartbeat)
    return Streamed(chunks, "text/event-stream", stack)


async def _moved(request: Request, id_: str, move: Callable[[Workshop, str, str], Job]) -> Response:
    workshop, owner = workshop_for(request)
    return await _told(workshop, await asyncio.to_thread(move, workshop, owner, id_))


async def _told(workshop: Workshop, job: Job, status: int = 200) -> Response:
    return json_response({"run": await asyncio.to_thread(run_shape, workshop, job)}, status)
