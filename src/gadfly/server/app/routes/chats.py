"""The list of chats, and each of them: found, read, named, filed, forked, thrown away and brought back."""

import asyncio
from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from gadfly.api.adapters import read_adapters
from gadfly.api.fields import Fields, check_json
from gadfly.chat.persona import checked_wit
from gadfly.chat.store import ChatInfo
from gadfly.chat.store.values import Place
from gadfly.errors import RequestError
from gadfly.server.app.chat_app import ChatApp, chat_app_of
from gadfly.server.app.shapes import node_shape
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, owner_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/chats", tags=["App"])

_TEXTS = {"title": 300, "folder": 200, "draft": 1_000_000}
_CHOICES = {"model": 1000, "persona": 200, "system": 1_000_000}  # null: as the settings have it


@routes.get("")
async def chats(
    request: Request,
    query: str | None = None,
    folder: str | None = None,
    tag: str | None = None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Response:
    """Pinned ones first, then the latest; with `query` those that say it, with what they say.

    Without a `state`, active ones are listed, and all that are not deleted are searched.
    """
    app, owner = chat_app_of(request), owner_of(request)
    if state not in (None, *get_args(Place)):
        raise RequestError(f"state is {state!r:.40}; expected active, archived or deleted", "state")

    def listed() -> tuple[list[dict[str, Any]], str | None]:
        if query is not None:
            hits = app.store.search(owner, query, limit, place=state, folder=folder, tag=tag)  # type: ignore[arg-type]
            return [app.shape(hit.chat, snippet=hit.snippet, node=hit.node) for hit in hits], None
        place: Any = state or "active"
        listing = app.store.chats(owner, folder=folder, tag=tag, place=place, cursor=cursor, limit=limit)
        return [app.shape(info) for info in listing.chats], listing.next

    rows, following = await asyncio.to_thread(listed)
    folders, tags = await asyncio.to_thread(lambda: (app.store.folders(owner), app.store.tags(owner)))
    return json_response({"chats": rows, "next": following, "folders": folders, "tags": tags})


@routes.post("", openapi_extra=body("/app/api/chats"))
async def create(request: Request) -> Response:
    """A new chat."""
    app, owner = chat_app_of(request), owner_of(request)
    changes = _changes(Fields(await body_of(request)))
    info = await asyncio.to_thread(lambda: app.store.create(owner, **changes))
    app.feeds.tell(owner, "chats", {})
    return json_response({"chat": app.shape(info)}, 201)


@routes.get("/{id}")
async def chat(request: Request, id: str) -> Response:  # noqa: A002
    """A chat with everything that was said in it; answers that are being written with what there is of them."""
    app, owner = chat_app_of(request), owner_of(request)
    found = await asyncio.to_thread(app.store.open, owner, id)
    writing = {job.node: job for job in app.jobs.of(owner, id)}
    nodes = [writing[node.id].shape() if node.id in writing else node_shape(node) for node in found.nodes]
    return json_response({"chat": app.shape(found.info), "nodes": nodes})


@routes.patch("/{id}", openapi_extra=body("/app/api/chats/{id}"))
async def change(request: Request, id: str) -> Response:  # noqa: A002
    """Name it, file it, choose its path and the terms of its answers."""
    app, owner = chat_app_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    changes: dict[str, Any] = _changes(fields)
    for key in ("pinned", "archived"):
        if (flag := fields.flag(key, None)) is not None:
            changes[key] = flag
    if "leaf" in set(fields):
        changes["leaf"] = fields.whole("leaf", 1, 2**62)
    info = await asyncio.to_thread(lambda: app.store.change(owner, id, **changes))
    return await _changed(app, info)


@routes.delete("/{id}")
async def delete(request: Request, id: str, forever: bool = False) -> Response:  # noqa: A002
    """Into the bin; `forever`: forgotten, and overwritten on the disk."""
    app, owner = chat_app_of(request), owner_of(request)
    await asyncio.to_thread(app.store.info, owner, id)
    for job in app.jobs.of(owner, id):
        await app.jobs.end(job)
    if forever:
        await asyncio.to_thread(app.store.purge, owner, id)
        app.feeds.tell(owner, "chats", {})
        return json_response({})
    return await _changed(app, await asyncio.to_thread(app.store.delete, owner, id))


@routes.post("/{id}/restore")
async def restore(request: Request, id: str) -> Response:  # noqa: A002
    """Back from the bin."""
    app = chat_app_of(request)
    return await _changed(app, await asyncio.to_thread(app.store.restore, owner_of(request), id))


@routes.post("/{id}/fork", openapi_extra=body("/app/api/chats/{id}/fork"))
async def fork(request: Request, id: str) -> Response:  # noqa: A002
    """A chat of its own, with all that led to a message."""
    app, owner = chat_app_of(request), owner_of(request)
    node = _need_node(Fields(await body_of(request)))
    info = await asyncio.to_thread(app.store.fork, owner, id, node)
    app.feeds.tell(owner, "chats", {})
    return json_response({"chat": app.shape(info)}, 201)


def _need_node(fields: Fields) -> int:
    if (node := fields.whole("node", 1, 2**62)) is None:
        raise fields.wrong("node", "the number of a message")
    return node


def _changes(fields: Fields) -> dict[str, Any]:
    """What a new chat may have, too."""
    changes: dict[str, Any] = {}
    given = set(fields)
    for key, most in _TEXTS.items():
        if key in fields:
            changes[key] = fields.text(key, None, most)
    for key, most in _CHOICES.items():
        if key in given:
            changes[key] = fields.text(key, None, most)
    if "wit" in given:
        changes["wit"] = None if fields["wit"] is None else checked_wit(fields["wit"])  # type: ignore[arg-type]
    if "sampling" in fields:
        changes["sampling"] = fields.json("sampling")
    if "adapters" in given:
        changes["adapters"] = read_adapters(fields)
    if "tags" in fields:
        check_json(fields["tags"], "tags")
        changes["tags"] = fields["tags"]
    return changes


async def _changed(app: ChatApp, info: ChatInfo) -> Response:
    await app.tell_chat(info.owner, info.id)
    return json_response({"chat": app.shape(info)})
