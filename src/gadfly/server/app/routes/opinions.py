"""Votes between answers, and the preference pairs that opinions make, to browse and to take away."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.chat.store import Pair, Store
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
    """Preference pairs, the latest first."""
    app, owner = chat_app_of(request), owner_of(request)
    if not 0 <= cursor < 2**31:
        raise RequestError(f"cursor is {cursor}; take the `next` of the page before", "cursor")

    def page() -> list[dict[str, Any]]:
        return [_shape(pair) for pair in islice(app.store.pairs(owner), cursor, cursor + _PAGE + 1)]

    found = await asyncio.to_thread(page)
    return json_response({"pairs": found[:_PAGE], "next": cursor + _PAGE if len(found) > _PAGE else None})


@routes.get("/app/api/feedback/export")
async def export(request: Request) -> Response:
    """All of them, a line of JSON each: prompt, chosen and rejected as preference training takes them."""
    app, owner = chat_app_of(request), owner_of(request)
    text = await asyncio.to_thread(lambda: b"".join(_lines(app.store, owner)))
    headers = {"content-disposition": 'attachment; filename="gadfly-preferences.jsonl"', "cache-control": "no-store"}
    return Response(text, 200, headers, "application/jsonl")


def _lines(store: Store, owner: str) -> Iterator[bytes]:
    for pair in store.pairs(owner):
        yield orjson.dumps(_shape(pair)) + b"\n"


def _shape(pair: Pair) -> dict[str, Any]:
    """In the form that preference trainers know, with where each text comes from and what it may be used for."""
    return {
        "chat": pair.chat,
        "prompt": [{"role": one.role, "content": one.content} for one in pair.prompt],
        "chosen": [{"role": "assistant", "content": pair.chosen.content}],
        "rejected": [{"role": "assistant", "content": pair.rejected.content}],
        "chosen_provenance": asdict(pair.chosen_provenance) if pair.chosen_provenance else None,
        "rejected_provenance": asdict(pair.rejected_provenance) if pair.rejected_provenance else None,
        "because": pair.because,
        "reasons": pair.reasons,
        "created": pair.created,
    }
