"""What pages hear while they are open, as server-sent events."""

import asyncio
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.app.feeds import event
from gadfly.server.service import owner_of, service_of
from gadfly.server.stream import Streamed

__all__ = ["routes"]

routes = APIRouter(tags=["App"])

_TYPE = "text/event-stream"


@routes.get("/app/api/events", include_in_schema=False)
async def events(request: Request) -> Response:
    """Of the whole app: chats, models, pulls."""
    app = chat_app_of(request)
    stack = AsyncExitStack()
    feed = stack.enter_context(app.feeds.open(owner_of(request)))
    return Streamed(feed.chunks(event("hello", {}), service_of(request).limits.heartbeat), _TYPE, stack)


@routes.get("/app/api/chats/{id}/events", include_in_schema=False)
async def chat_events(request: Request, id: str) -> Response:  # noqa: A002
    """Of one chat: first the answers that are being written, with what there is of them, then everything that comes.

    Calls of tools that wait for consent are told at once, too.
    """
    app, owner = chat_app_of(request), owner_of(request)
    await asyncio.to_thread(app.store.info, owner, id)
    stack = AsyncExitStack()
    feed = stack.enter_context(app.feeds.open(owner, id))
    jobs = [job for job in app.jobs.of(owner, id) if job.kept is None]
    for job in jobs:
        feed.follow(job)
    for waiting in app.tools.waiting(owner, id):
        feed.put(event("consent", waiting))
    first = event("snapshot", {"nodes": [job.shape() for job in jobs]})
    return Streamed(feed.chunks(first, service_of(request).limits.heartbeat), _TYPE, stack)
