"""Votes between answers, and the pairs and ratings that opinions make, to browse and to take away."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.chat.exports import pair_lines, rating_lines
from gadfly.chat.exports.pairs import Licences
from gadfly.chat.store import Cause, Store
from gadfly.errors import RequestError
from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.app.shapes import feedback_shape
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, owner_of

__all__ = ["routes"]

routes = APIRouter(tags=["App"])

_PAGE = 50


@routes.post("/app/api/chats/{id}/votes", openapi_extra=body("/app/api/chats/{id}/votes"))
async def vote(request: Request, id: str) -> Response:  # noqa: A002
    """Prefer one answer to another on the same question."""
    app, owner = chat_app_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    winner, loser = (fields.whole(key, 1, 2**62) for key in ("winner", "loser"))
    if winner is None or loser is None:
        raise fields.wrong("winner" if winner is None else "loser", "the number of an answer")
    blind = fields.flag("blind")
    given = await asyncio.to_thread(lambda: app.store.vote(owner, id, winner, loser, blind))
    return json_response({"vote": asdict(given)}, 201)


@routes.get("/app/api/chats/{id}/votes")
async def votes(request: Request, id: str) -> Response:  # noqa: A002
    """Those in a chat."""
    app, owner = chat_app_of(request), owner_of(request)
    found = await asyncio.to_thread(app.store.votes, owner, id)
    return json_response({"votes": [asdict(one) for one in found]})


@routes.delete("/app/api/chats/{id}/pairs/{because}/{chosen}/{rejected}")
async def withdraw(request: Request, id: str, because: Cause, chosen: int, rejected: int) -> Response:  # noqa: A002
    """Take back what makes a pair; answers with what that was, to be given again: opinions, or a vote."""
    app, owner = chat_app_of(request), owner_of(request)
    was, vote = await asyncio.to_thread(app.store.withdraw, owner, id, because, chosen, rejected)
    for node in was:
        app.tell_node(owner, id, await asyncio.to_thread(app.store.node, owner, id, node))
    opinions = [{"node": node, **(feedback_shape(given) or {})} for node, given in was.items()]
    return json_response({"opinions": opinions, "vote": asdict(vote) if vote else None})


@routes.get("/app/api/feedback")
async def pairs(request: Request, cursor: int = 0) -> Response:
    """Preference pairs, the latest first, with what their licences allow."""
    return await _page(request, "pairs", cursor, _pairs)


@routes.get("/app/api/feedback/thumbs")
async def ratings(request: Request, cursor: int = 0) -> Response:
    """Answers with a thumb that are in no pair, likewise."""
    return await _page(request, "thumbs", cursor, _ratings)


@routes.get("/app/api/feedback/export")
async def export(request: Request, licences: str = "free") -> Response:
    """Those that `licences` (free, conditions, all) let through, a line of JSON each; a header counts the others."""
    return await _file(request, "gadfly-preferences.jsonl", licences, _pairs)


@routes.get("/app/api/feedback/thumbs/export")
async def export_ratings(request: Request, licences: str = "free") -> Response:
    """The same of answers that are in no pair."""
    return await _file(request, "gadfly-thumbs.jsonl", licences, _ratings)


Lines = Callable[[Store, str, Licences, Counter[str]], Iterator[str]]


def _pairs(store: Store, owner: str, licences: Licences, left_out: Counter[str]) -> Iterator[str]:
    return pair_lines(store.pairs(owner), licences, left_out)


def _ratings(store: Store, owner: str, licences: Licences, left_out: Counter[str]) -> Iterator[str]:
    return rating_lines(store.ratings(owner), licences, left_out)


async def _page(request: Request, name: str, cursor: int, lines: Lines) -> Response:
    app, owner = chat_app_of(request), owner_of(request)
    if not 0 <= cursor < 2**31:
        raise RequestError(f"cursor is {cursor}; take the `next` of the page before", "cursor")

    def page() -> list[Any]:
        every = lines(app.store, owner, "all", Counter())
        return [orjson.loads(line) for line in islice(every, cursor, cursor + _PAGE + 1)]

    found = await asyncio.to_thread(page)
    return json_response({name: found[:_PAGE], "next": cursor + _PAGE if len(found) > _PAGE else None})


async def _file(request: Request, name: str, licences: str, lines: Lines) -> Response:
    app, owner = chat_app_of(request), owner_of(request)
    left_out: Counter[str] = Counter()
    written = await asyncio.to_thread(lambda: list(lines(app.store, owner, licences, left_out)))  # type: ignore[arg-type]
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "x-left-out": str(left_out.total()),
    }
    return Response("".join(written), 200, headers, "application/jsonl")
