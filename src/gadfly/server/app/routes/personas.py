"""Personas: the gallery and its editor."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from gadfly.chat.cards import read_card
from gadfly.server.app.chat_app import chat_app_of, require_scope
from gadfly.server.body import read_bytes
from gadfly.server.refusals import json_response
from gadfly.server.schemas import binary, body
from gadfly.server.service import body_of, service_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/personas", tags=["App"])


@routes.get("")
async def personas(request: Request) -> Response:
    """All there are."""
    return json_response({"personas": await asyncio.to_thread(chat_app_of(request).personas.list)})


@routes.get("/{name}")
async def persona(request: Request, name: str) -> Response:
    """One, with all that is said to a model for it."""
    return json_response(await asyncio.to_thread(chat_app_of(request).personas.show, name))


@routes.put("/{name}", openapi_extra=body("/app/api/personas/{name}"))
async def save(request: Request, name: str) -> Response:
    """Write one of the user's own."""
    require_scope(request, "models")
    table = {key: value for key, value in (await body_of(request)).items() if key != "own" and value is not None}
    return json_response(await asyncio.to_thread(chat_app_of(request).personas.save, name, table))


@routes.post("/import", openapi_extra=binary())
async def take(request: Request) -> Response:
    """Make one of the user's own of a character card (JSON or PNG) or a persona's file; `notes`: what has no place."""
    require_scope(request, "models")
    data = await read_bytes(request, service_of(request).limits.upload)
    personas = chat_app_of(request).personas

    def taken() -> dict[str, Any]:
        card = read_card(data)
        name = personas.free_name(card.name)
        return {"persona": personas.save(name, card.persona), "notes": card.notes}

    return json_response(await asyncio.to_thread(taken), 201)


@routes.delete("/{name}")
async def delete(request: Request, name: str) -> Response:
    """Delete one of the user's own."""
    require_scope(request, "models")
    await asyncio.to_thread(chat_app_of(request).personas.delete, name)
    return json_response({})
