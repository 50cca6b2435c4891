"""Ollama's dialect: conversations, and how models are listed, loaded and asked to go. Their files: `ollama_library`."""

from importlib.metadata import version as version_of
from typing import Literal

from fastapi import APIRouter, Request, Response

from gadfly.api import ollama_models
from gadfly.api.fields import Fields
from gadfly.api.ollama_answers import OllamaStream, loaded, ollama_answer
from gadfly.api.ollama_embed import ollama_embedding, ollama_embeddings, read_ollama_embed
from gadfly.api.ollama_request import OllamaCall, read_model, read_ollama_chat, read_ollama_generate
from gadfly.api.stamp import Stamp
from gadfly.server.refusals import json_response
from gadfly.server.reply import Dialect, Exchange, reply
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import json_line

__all__ = ["routes"]

routes = APIRouter(tags=["Ollama"])

_LINES = Dialect(json_line, media_type="application/x-ndjson")

Kind = Literal["chat", "generate"]


@routes.get("/api/version")
async def version(_: Request) -> Response:
    """Of Gadfly."""
    return json_response(ollama_models.version(version_of("gadfly")))


@routes.get("/api/tags")
async def tags(request: Request) -> Response:
    """The models that can be asked."""
    return json_response(ollama_models.tags(await service_of(request).cards()))


@routes.get("/api/ps")
async def working(request: Request) -> Response:
    """The models that are loaded."""
    service = service_of(request)
    cards = {card.name: card for card in await service.cards()}
    now = service.clock()
    return json_response(
        ollama_models.working(
            [
                ollama_models.Loaded(
                    cards[each.name], each.model.size, each.llm.context, now + service.models.remaining(each)
                )
                for each in service.models.loaded
                if each.name in cards
            ]
        )
    )


@routes.post("/api/show", openapi_extra=body("/api/show"))
async def show(request: Request) -> Response:
    """What is known of a model."""
    name = read_model(Fields(await body_of(request)))
    return json_response(ollama_models.show(await service_of(request).card(name)))


@routes.post("/api/chat", openapi_extra=body("/api/chat"))
async def chat(request: Request) -> Response:
    """Answer a conversation; without one, load the model or let it go."""
    return await _answer(request, read_ollama_chat(await body_of(request)), "chat")


@routes.post("/api/generate", openapi_extra=body("/api/generate"))
async def generate(request: Request) -> Response:
    """Answer a prompt; without one, load the model or let it go."""
    return await _answer(request, read_ollama_generate(await body_of(request)), "generate")


@routes.post("/api/embed", openapi_extra=body("/api/embed"))
async def embed(request: Request) -> Response:
    """Turn texts into vectors."""
    call, service = read_ollama_embed(await body_of(request)), service_of(request)
    began = service.clock()
    _, made = await service.embed(request, call.model, call.request)
    return json_response(ollama_embeddings(made.vectors, made.tokens, service.clock() - began, call))


@routes.post("/api/embeddings", openapi_extra=body("/api/embeddings"))
async def embedding(request: Request) -> Response:
    """The same, as it was before, for one text."""
    call = read_ollama_embed(await body_of(request))
    _, made = await service_of(request).embed(request, call.model, call.request)
    return json_response(ollama_embedding(made.vectors))


async def _answer(request: Request, call: OllamaCall, kind: Kind) -> Response:
    if call.request is None:
        return await _load(request, call, kind)
    return await reply(
        request,
        Exchange(
            _LINES,
            call.model,
            (call.request,),
            call.stream,
            stream=lambda start: OllamaStream(start.stamp, kind, start.load_seconds),
            body=lambda answers, start: ollama_answer(answers[0], start.stamp, kind, start.load_seconds),
            keep=call.keep_alive,
        ),
    )


async def _load(request: Request, call: OllamaCall, kind: Kind) -> Response:
    service = service_of(request)
    name = await service.models.named(call.model)
    if call.keep_alive == 0:
        await service.models.forget(name)
        return json_response(loaded(Stamp("", service.clock(), name), kind, "unload"))
    async with service.models.use(name) as found:
        if call.keep_alive is not None:
            service.models.keep(found, call.keep_alive)
    return json_response(loaded(Stamp("", service.clock(), name), kind, "load"))
