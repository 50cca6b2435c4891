"""Who is looking at the page, and the page itself."""

import asyncio
from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.app.page import Page
from gadfly.server.app.sessions import LIFETIME, cookie_name
from gadfly.server.keys import matching
from gadfly.server.record import Record
from gadfly.server.refusals import Refused, json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, owner_of, service_of

__all__ = ["page_routes", "routes"]

routes = APIRouter(tags=["App"])


def page_routes(page: Page) -> APIRouter:
    """A route for each file that there is, so that everything else is still told what it does wrong."""
    made = APIRouter()

    async def get(request: Request) -> Response:
        return page.get(request.url.path, request.headers)

    for path in {"/", *page.paths}:
        made.add_api_route(path, get, methods=["GET"], include_in_schema=False)
    return made


@routes.get("/app/api/session")
async def session(request: Request) -> Response:
    """Whose page this is, whether it has to show a key first, and what new chats begin with."""
    app, service = chat_app_of(request), service_of(request)
    settings = await asyncio.to_thread(app.settings)
    stocked = await service.models.stocked()
    return json_response(
        {
            "owner": owner_of(request),
            "needs_key": app.closed and Record.of(request.scope).key is None,
            "version": version("gadfly"),
            "settings": {
                "model": settings.model if settings.model in stocked else service.default_model,
                "persona": settings.persona,
                "wit": settings.wit,
            },
            "offline": service.offline,
        }
    )


@routes.post("/app/api/session", openapi_extra=body("/app/api/session"))
async def begin(request: Request) -> Response:
    """Show a key; the browser gets a cookie instead, which no script can read and no other page can use."""
    app, text = chat_app_of(request), Fields(await body_of(request)).need_text("key", 1000)
    key = matching(text.strip(), app.keys())
    if key is None:
        raise Refused("unauthorised", "this key is not known here; gadfly keys list shows whose there are")
    if "chat" not in key.scopes:
        raise Refused("forbidden", f"the key {key.name} is good for {', '.join(key.scopes)}, but not for chat")
    cookie = await asyncio.to_thread(app.sessions.begin, key)
    answer = json_response({"owner": key.name})
    secure = request.headers.get("origin", "").startswith("https:")
    answer.set_cookie(
        cookie_name(request.headers["host"]),
        cookie,
        max_age=LIFETIME,
        path="/app/api",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return answer


@routes.delete("/app/api/session")
async def end(request: Request) -> Response:
    """Forget the cookie, here and in the browser."""
    await asyncio.to_thread(chat_app_of(request).sessions.end, request.headers)
    answer = json_response({})
    answer.delete_cookie(cookie_name(request.headers["host"]), path="/app/api", httponly=True, samesite="strict")
    return answer
