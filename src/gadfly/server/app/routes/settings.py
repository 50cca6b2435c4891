"""Settings: what they are, where each comes from, and gadfly.toml, which is what the app may change."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.server.app.chat_app import chat_app_of, require_scope
from gadfly.server.app.settings_file import change_settings, settings_table
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of

__all__ = ["routes"]

routes = APIRouter(tags=["App"])


@routes.get("/app/api/settings")
async def settings(request: Request) -> Response:
    """Every setting, with its origin."""
    app = chat_app_of(request)
    return json_response({"settings": await asyncio.to_thread(settings_table, app.home, app.flags)})


@routes.patch("/app/api/settings", openapi_extra=body("/app/api/settings"))
async def change(request: Request) -> Response:
    """Write some; null goes back to the default."""
    require_scope(request, "models")
    app, changes = chat_app_of(request), await body_of(request)
    await asyncio.to_thread(change_settings, app.home, app.flags, changes)
    return json_response({"settings": await asyncio.to_thread(settings_table, app.home, app.flags)})
