"""OpenAI's dialect, apart from responses: models, chat completions, completions, embeddings."""

from fastapi import APIRouter, Request, Response

from gadfly.api.answer import spent
from gadfly.api.anthropic_models import model_info, model_page
from gadfly.api.openai_chat import ChatStream, chat_completion
from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_completions import CompletionStream, completion, read_completion
from gadfly.api.openai_embeddings import embeddings, read_embeddings
from gadfly.api.openai_models import model_list, model_object
from gadfly.server.refusals import json_response
from gadfly.server.reply import Dialect, Exchange, Start, reply
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import DONE, HEARTBEAT, unnamed_event

__all__ = ["routes"]

routes = APIRouter(tags=["OpenAI"])

_CHAT = Dialect(unnamed_event, "chatcmpl-", DONE, HEARTBEAT)
_COMPLETION = Dialect(unnamed_event, "cmpl-", DONE, HEARTBEAT)


@routes.get("/v1/models")
async def models(request: Request) -> Response:
    """The models that can be asked, in the words of whoever asks."""
    make = model_page if "anthropic-version" in request.headers else model_list
    return json_response(make(await service_of(request).cards()))


@routes.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> Response:
    """What is known of one of them."""
    make = model_info if "anthropic-version" in request.headers else model_object
    return json_response(make(await service_of(request).card(name)))


@routes.post("/v1/chat/completions", openapi_extra=body("/v1/chat/completions"))
async def chat_completions(request: Request) -> Response:
    """Answer a conversation."""
    call = read_chat(await body_of(request))
    n = call.request.n

    def stream(start: Start) -> ChatStream:
        so_far = (lambda: spent(start.usages(), n)) if call.usage_so_far else None
        return ChatStream(start.stamp, n, call.include_usage, call.old_functions, so_far)

    return await reply(
        request,
        Exchange(
            _CHAT,
            call.model,
            (call.request,),
            call.stream,
            stream=stream,
            body=lambda answers, start: chat_completion(answers, start.stamp, call.old_functions),
        ),
    )


@routes.post("/v1/completions", openapi_extra=body("/v1/completions"))
async def completions(request: Request) -> Response:
    """Continue texts."""
    call = read_completion(await body_of(request))
    n = call.requests[0].n
    return await reply(
        request,
        Exchange(
            _COMPLETION,
            call.model,
            call.requests,
            call.stream,
            stream=lambda start: CompletionStream(start.stamp, len(call.requests), n, call.include_usage),
            body=lambda answers, start: completion(answers, n, start.stamp),
        ),
    )


@routes.post("/v1/embeddings", openapi_extra=body("/v1/embeddings"))
async def vectors(request: Request) -> Response:
    """Turn texts into vectors."""
    call = read_embeddings(await body_of(request))
    name, made = await service_of(request).embed(request, call.model, call.request)
    return json_response(embeddings(made.vectors, made.tokens, name, call))
