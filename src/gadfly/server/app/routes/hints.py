"""What helps while one writes: whether it fits, a name for the chat, the better question to ask next."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.chat.history import history
from gadfly.chat.store import Conversation
from gadfly.chat.title import title_of
from gadfly.chat.values import said_with
from gadfly.conversation import Message
from gadfly.errors import UnsupportedError
from gadfly.server.app.asides import read_suggestions, read_title, suggestions, title
from gadfly.server.app.chat_app import ChatApp, chat_app_of
from gadfly.server.app.measure import measure
from gadfly.server.app.routes.answers import asked_for, read_said
from gadfly.server.app.terms import Terms, read_terms
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import Service, body_of, owner_of, service_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/chats/{id}", tags=["App"])


@routes.post("/measure", openapi_extra=body("/app/api/chats/{id}/measure"))
async def measured(request: Request, id: str) -> Response:  # noqa: A002
    """Tokens that a question would take with all before it; null where the model is not loaded or does not tell."""
    app, service, owner = chat_app_of(request), service_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    text, parent, files = read_said(fields)
    terms = read_terms(fields.table("terms") or Fields({}))
    chat = await asyncio.to_thread(app.store.open, owner, id)
    asked = await asked_for(app, service, chat, terms)
    if asked.model not in {loaded.name for loaded in service.models.loaded}:
        card = (await service.models.stocked()).get(asked.model)
        return json_response({"tokens": None, "context": card.context if card else None, "loaded": False})

    def messages() -> list[Message]:
        attachments = [app.store.attachment(one) for one in files]
        told = history(chat.tree.path(parent), app.store)
        return [*told, said_with(text, attachments)] if text.strip() or files else told

    told = await asyncio.to_thread(messages)
    async with service.models.use(asked.model) as loaded:
        try:
            found = await asyncio.to_thread(measure, loaded.llm, asked, told)
        except UnsupportedError:
            return json_response({"tokens": None, "context": loaded.llm.context or None, "loaded": True})
    return json_response({**asdict(found), "loaded": True})


@routes.post("/title")
async def name(request: Request, id: str) -> Response:  # noqa: A002
    """Have the model name the chat; where it cannot, the first words that were said do."""
    app, service, owner = chat_app_of(request), service_of(request), owner_of(request)
    chat = await asyncio.to_thread(app.store.open, owner, id)
    told = await _told(app, chat)
    said = await _ask_for(app, service, chat, told, suggesting=False)
    made = read_title(said, told) if said else None
    first = next((one.content for one in told if one.role == "user"), "")
    info = await asyncio.to_thread(lambda: app.store.change(owner, id, title=made or title_of(first)))
    await app.tell_chat(owner, id)
    return json_response({"title": info.title, "by": "model" if made else "words"})


@routes.post("/suggestions")
async def suggest(request: Request, id: str) -> Response:  # noqa: A002
    """Questions that could come next; none if the model has better things to do, or no idea."""
    app, service, owner = chat_app_of(request), service_of(request), owner_of(request)
    chat = await asyncio.to_thread(app.store.open, owner, id)
    told = await _told(app, chat)
    said = await _ask_for(app, service, chat, told, suggesting=True)
    return json_response({"suggestions": read_suggestions(said, told) if said else []})


async def _told(app: ChatApp, chat: Conversation) -> list[Message]:
    return await asyncio.to_thread(history, chat.path, app.store)


async def _ask_for(
    app: ChatApp, service: Service, chat: Conversation, told: Sequence[Message], suggesting: bool
) -> str | None:
    if len(told) < 2 or told[-1].role != "assistant":
        return None
    asked = await asked_for(app, service, chat, Terms())
    return await app.asides.ask(asked.model, suggestions(told) if suggesting else title(told))
