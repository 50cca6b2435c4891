"""The shelf of adapters: what each was made for and from, and letting go of the user's own."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.hub.adapters import remove_adapter
from gadfly.server.app.adapter_shapes import adapter_shapes
from gadfly.server.app.chat_app import chat_app_of, require_scope
from gadfly.server.refusals import json_response

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/adapters", tags=["App"])


@routes.get("")
async def adapters(request: Request) -> Response:
    """All that are here. Which of them stand beside a model that is loaded, the list of models says."""
    return json_response({"adapters": await asyncio.to_thread(adapter_shapes, chat_app_of(request).home)})


@routes.delete("/{name}")
async def remove(request: Request, name: str) -> Response:
    """Delete one of the user's own. Models that are loaded keep what they have of it."""
    require_scope(request, "models")
    app = chat_app_of(request)
    await asyncio.to_thread(remove_adapter, name, app.home)
    app.feeds.tell(None, "models", {})
    return json_response({})
