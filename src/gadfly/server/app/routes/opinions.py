"""Votes between answers, and the preference pairs that opinions make, to browse and to take away."""

import asyncio
from collections import Counter
from dataclasses import asdict
from itertools import islice
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.chat.exports import pair_lines
from gadfly.errors import RequestError
from gadfly.server.app.chat_app import chat_app_of, owner_of
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of

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


@routes.get("/app/api/feedback")
async def pairs(request: Request, cursor: int = 0) -> Response:
    """Preference pairs, the latest first, with what their licences allow."""
    app, owner = chat_app_of(request), owner_of(request)
    if not 0 <= cursor < 2**31:
        raise RequestError(f"cursor is {cursor}; take the `next` of the page before", "cursor")

    def page() -> list[Any]:
        some = islice(app.store.pairs(owner), cursor, cursor + _PAGE + 1)
        return [orjson.loads(line) for line in pair_lines(some, "all")]

    found = await asyncio.to_thread(page)
    return json_response({"pairs": found[:_PAGE], "next": cursor + _PAGE if len(found) > _PAGE else None})


@routes.get("/app/api/feedback/export")
async def export(request: Request, licences: str = "free") -> Response:
    """Those that `licences` (free, conditions, all) let through, a line of JSON each; a header counts the others."""
    app, owner = chat_app_of(request), owner_of(request)
    left_out: Counter[str] = Counter()
    lines = await asyncio.to_thread(lambda: list(pair_lines(app.store.pairs(owner), licences, left_out)))  # type: ignore[arg-type]
    headers = {
        "content-disposition": 'attachment; filename="gadfly-preferences.jsonl"',
        "x-left-out": str(left_out.total()),
    }
    return Response("".join(lines), 200, headers, "application/jsonl")
