"""Personas: the gallery and its editor."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.server.app.chat_app import chat_app_of, require_scope
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of

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


@routes.delete("/{name}")
async def delete(request: Request, name: str) -> Response:
    """Delete one of the user's own."""
    require_scope(request, "models")
    await asyncio.to_thread(chat_app_of(request).personas.delete, name)
    return json_response({})
