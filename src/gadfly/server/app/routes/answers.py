"""What is said in a chat, and the answers that this asks for, which the server then writes by itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields, check_text
from gadfly.chat.history import history
from gadfly.chat.store import Conversation, Node
from gadfly.chat.title import title_of
from gadfly.conversation import Message
from gadfly.errors import RequestError
from gadfly.server.app.chat_app import ChatApp, chat_app_of, may_use_tools
from gadfly.server.app.job import Job, Order
from gadfly.server.app.shapes import node_shape
from gadfly.server.app.terms import Asked, Terms, read_terms
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import Service, body_of, owner_of, service_of

__all__ = ["asked_for", "read_said", "routes"]

routes = APIRouter(prefix="/app/api/chats/{id}", tags=["App"])

_TEXT = 1_000_000  # characters of a message
_FILES = 20
_VARIANTS = 4
ROLES: Sequence[Literal["user", "assistant"]] = ("user", "assistant")


@routes.post("/messages", openapi_extra=body("/app/api/chats/{id}/messages"))
async def say(request: Request, id: str) -> Response:  # noqa: A002
    """Say something and, unless `answer` is null, have it answered; an edit has the parent of what it replaces.

    What the user wants the model to have said, as `assistant`, is never answered.
    """
    app, service, owner = chat_app_of(request), service_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    text, parent, files = read_said(fields)
    role: Literal["user", "assistant"] = fields.one_of("role", ROLES, "user")
    if not text.strip():
        raise RequestError("the message is empty", "text")
    if role == "assistant" or (fields["answer"] is None and "answer" in set(fields)):
        terms = None
    else:
        terms = read_terms(fields.table("answer") or Fields({}))
    chat = await asyncio.to_thread(app.store.open, owner, id)
    if terms is not None:
        app.jobs.require_room(owner)
        asked = await asked_for(app, service, chat, terms, may_use_tools(request))
    said = await asyncio.to_thread(app.store.say, owner, id, parent, Message(role, text), files)
    if not chat.info.title and role == "user":
        await asyncio.to_thread(lambda: app.store.change(owner, id, title=title_of(text)))
    nodes = [app.tell_node(owner, id, said)]
    if terms is not None:
        path = [*chat.tree.path(parent), said]
        nodes.append((await _begin(app, service, owner, id, said.id, path, asked)).shape())
    await app.tell_chat(owner, id)
    return json_response({"nodes": nodes}, 201)


@routes.post("/answers", openapi_extra=body("/app/api/chats/{id}/answers"))
async def answer(request: Request, id: str) -> Response:  # noqa: A002
    """Answers to what was said already: another one, several beside each other, or one that begins with `prefix`."""
    app, service, owner = chat_app_of(request), service_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    parent, prefix = fields.whole("parent", 1, 2**62), fields.text("prefix", "", _TEXT)
    if parent is None:
        raise fields.wrong("parent", "the number of the message that is to be answered")
    variants = [read_terms(each) for each in fields.tables("variants", _VARIANTS)] or [Terms()]
    chat = await asyncio.to_thread(app.store.open, owner, id)
    path = chat.tree.path(parent)
    if path[-1].message.role == "assistant":
        raise RequestError(f"message {parent} is an answer itself; name the one that it answers", "parent")
    app.jobs.require_room(owner, len(variants))
    asked = [await asked_for(app, service, chat, each, may_use_tools(request)) for each in variants]
    if prefix:
        await _require_here(service, *(each.model for each in asked))
    jobs = [await _begin(app, service, owner, id, parent, path, each, prefix) for each in asked]
    await app.tell_chat(owner, id)
    return json_response({"nodes": [job.shape() for job in jobs]}, 201)


@routes.post("/answers/{node}/continue")
async def go_on(request: Request, id: str, node: int) -> Response:  # noqa: A002
    """Write on at an answer that was stopped or cut off, with the terms it was begun with."""
    app, service, owner = chat_app_of(request), service_of(request), owner_of(request)
    app.jobs.require_room(owner)
    chat = await asyncio.to_thread(app.store.open, owner, id)
    one = chat.tree[node]
    asked = await asyncio.to_thread(Asked.again, one.provenance, service.default_model)
    await _require_here(service, asked.model)
    messages = await asyncio.to_thread(history, chat.tree.path(one.parent), app.store)
    before = await asyncio.to_thread(app.store.trace, owner, id, node)
    text, reasoning = one.message.content, one.message.reasoning
    writing = await asyncio.to_thread(app.store.resume, owner, id, node)
    build = {**one.provenance.build, "continued": [*one.provenance.build.get("continued", ()), len(text)]}
    order = Order(owner, id, asked, messages, text, reasoning, before)
    job = app.jobs.begin(order, writing, replace(one.provenance, build=build, error=None))
    await app.tell_chat(owner, id)
    return json_response({"nodes": [job.shape()]}, 202)


@routes.post("/answers/{node}/stop")
async def stop(request: Request, id: str, node: int) -> Response:  # noqa: A002
    """Stop an answer that is being written, and give what there is of it."""
    app, owner = chat_app_of(request), owner_of(request)
    if job := app.jobs.find(owner, id, node):
        await app.jobs.end(job)
    return json_response({"node": node_shape(await asyncio.to_thread(app.store.node, owner, id, node))})


def read_said(fields: Fields) -> tuple[str, int | None, list[str]]:
    """Text, the message before it, and hashes of files."""
    files = [check_text(item, path, 100) for path, item in fields.items("attachments", _FILES)]
    return fields.text("text", "", _TEXT), fields.whole("parent", 1, 2**62), files


async def asked_for(
    app: ChatApp, service: Service, chat: Conversation, terms: Terms, may_use_tools: bool = False
) -> Asked:
    """Raises what makes no sense before anything is kept: a model or persona that is not here, numbers out of range."""
    settings = await asyncio.to_thread(app.settings)
    default = settings.model if settings.model in await service.models.stocked() else service.default_model
    asked = await asyncio.to_thread(terms.over, chat.info, settings, default)
    tools: tuple[str, ...] = ()
    if may_use_tools and terms.tools is not False:
        tools = await asyncio.to_thread(app.tools.file.allowed, asked.persona.name)
    if terms.tools and not tools:
        raise RequestError(f"{asked.persona.name} may use no tools here; gadfly tools allow lets it", "tools")
    return replace(asked, model=await service.models.named(asked.model), tools=tools)


async def _require_here(service: Service, *models: str) -> None:
    """Raises RequestError for a model of an upstream: OpenAI's API has no way to say how an answer begins."""
    stocked = await service.models.stocked()
    for name in models:
        if name in stocked and not stocked[name].size:
            raise RequestError(f"{name} runs elsewhere, where an answer cannot be made to go on from a text")


async def _begin(
    app: ChatApp,
    service: Service,
    owner: str,
    chat: str,
    parent: int,
    path: Sequence[Node],
    asked: Asked,
    prefix: str = "",
) -> Job:
    card = (await service.models.stocked()).get(asked.model)
    known: dict[str, Any] = {"digest": card.digest or None, "licence": card.licence or None} if card else {}
    provenance = asked.provenance(**known)
    messages = await asyncio.to_thread(history, path, app.store)
    writing = await asyncio.to_thread(app.store.begin, owner, chat, parent, provenance, prefix)
    order = Order(owner, chat, asked, messages, prefix, kit=app.tools.kit(owner, chat, asked.tools))
    return app.jobs.begin(order, writing, provenance)
