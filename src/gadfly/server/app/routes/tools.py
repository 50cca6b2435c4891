"""Tools: which there are, what they can do, and who may use them.

A page never adds a program: whoever reaches the port would run what they like. `gadfly tools add` does, in a terminal.
With keys, nothing can be changed here at all.
"""

import asyncio
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields, check_text
from gadfly.chat.persona import load_persona
from gadfly.chat.tools import CONSENTS, Patience
from gadfly.chat.tools.server import ToolServer, read_server
from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.server.app.chat_app import ChatApp, chat_app_of, may_use_tools
from gadfly.server.record import Record
from gadfly.server.refusals import Refused, json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, owner_of

__all__ = ["routes"]

routes = APIRouter(tags=["App"])

_KEYS = ("url", "headers", "searxng", "seconds")
_ALLOWED = 64


@routes.get("/app/api/tools")
async def tools(request: Request) -> Response:
    """All servers, without what is secret of them, and what each persona may use."""
    app, may_change = chat_app_of(request), _may_change(request)
    settings = await asyncio.to_thread(app.tools.file.read)
    servers = [
        {"name": one.name, "kind": one.kind, "place": one.place if may_change else "", "seconds": one.seconds}
        for one in settings.servers.values()
    ]
    return json_response({"servers": servers, "personas": settings.personas, "may_change": may_change})


@routes.get("/app/api/tools/{name}")
async def server(request: Request, name: str) -> Response:
    """What the tools of a server are; it is started, if it is a program."""
    app = chat_app_of(request)
    found = await asyncio.to_thread(_server, app, name)
    if not may_use_tools(request):
        raise Refused("forbidden", "this key is not good for tools")
    offer = await app.tools.offer([found.name], Patience(found.seconds))
    listed = [
        {"name": one.tool.name, "description": one.tool.description, "parameters": one.tool.parameters}
        for one in offer.tools
    ]
    return json_response({"tools": listed, "problems": offer.problems})


@routes.put("/app/api/tools/{name}", openapi_extra=body("/app/api/tools/{name}"))
async def save(request: Request, name: str) -> Response:
    """Write down the address of an MCP server, or of a SearXNG."""
    _require_change(request)
    app, given = chat_app_of(request), await body_of(request)
    if wrong := sorted(given.keys() - set(_KEYS)):
        raise RequestError(f"{wrong[0]!r:.60} cannot be set here; a program is added with gadfly tools add", wrong[0])
    try:
        made = read_server(name, {key: value for key, value in given.items() if value is not None}, name)
    except SettingsError as error:
        raise RequestError(str(error)) from error
    await asyncio.to_thread(partial(app.tools.file.add, made, replace=True))
    return await tools(request)


@routes.delete("/app/api/tools/{name}")
async def delete(request: Request, name: str) -> Response:
    """Forget a server."""
    _require_change(request)
    await asyncio.to_thread(chat_app_of(request).tools.file.remove, name)
    return await tools(request)


@routes.put("/app/api/tools/personas/{persona}", openapi_extra=body("/app/api/tools/personas/{persona}"))
async def allow(request: Request, persona: str) -> Response:
    """Say what a persona may use: servers, and tools of servers. Every call is still asked for."""
    _require_change(request)
    app, fields = chat_app_of(request), Fields(await body_of(request))
    allowed = [check_text(item, path, 200) for path, item in fields.items("allowed", _ALLOWED)]
    await asyncio.to_thread(load_persona, persona)
    try:
        await asyncio.to_thread(app.tools.file.allow, persona, allowed)
    except SettingsError as error:
        raise RequestError(str(error), "allowed") from error
    return await tools(request)


@routes.get("/app/api/chats/{id}/tools")
async def offered(request: Request, id: str) -> Response:  # noqa: A002
    """What a model is offered in a chat; servers are started, and those that fail are problems."""
    app, owner = chat_app_of(request), owner_of(request)
    chat = await asyncio.to_thread(app.store.info, owner, id)
    persona = chat.persona or (await asyncio.to_thread(app.settings)).persona
    allowed = await asyncio.to_thread(app.tools.file.allowed, persona) if may_use_tools(request) else ()
    offer = await app.tools.offer(allowed)
    listed: list[dict[str, Any]] = [
        {
            "name": one.shown.name,
            "server": one.server,
            "tool": one.tool.name,
            "description": one.tool.description,
        }
        for one in offer.tools
    ]
    return json_response({"offered": listed, "problems": offer.problems})


@routes.post(
    "/app/api/chats/{id}/answers/{node}/consent", openapi_extra=body("/app/api/chats/{id}/answers/{node}/consent")
)
async def consent(request: Request, id: str, node: int) -> Response:  # noqa: A002
    """Allow a call that an answer wishes for: once, for the rest of the chat, or not."""
    app, fields = chat_app_of(request), Fields(await body_of(request))
    call, said = fields.need_text("call", 1000), fields.need_text("allow", 10)
    found = next((one for one in CONSENTS if one == said), None)
    if found is None:
        raise fields.wrong("allow", ", ".join(CONSENTS))
    app.tools.decide(owner_of(request), id, node, call, found)
    return json_response({})


def _server(app: ChatApp, name: str) -> ToolServer:
    found = app.tools.file.read().servers.get(name)
    if found is None:
        raise NotFoundError(f"there are no tools called {name!r:.60}")
    return found


def _may_change(request: Request) -> bool:
    return Record.of(request.scope).key is None


def _require_change(request: Request) -> None:
    if not _may_change(request):
        raise Refused("forbidden", "tools are changed on the machine itself: gadfly tools --help")
