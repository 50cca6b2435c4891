"""OpenAI's dialect, apart from responses: models, chat completions, completions."""

from fastapi import APIRouter, Request, Response

from gadfly.api.errors import openai_error
from gadfly.api.openai_chat import ChatStream, chat_completion
from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_completions import CompletionStream, completion, read_completion
from gadfly.api.openai_models import model_list, model_object
from gadfly.api.stamp import Stamp
from gadfly.server.refusals import json_response
from gadfly.server.reply import Exchange, Frames, reply
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import DONE, unnamed_event

__all__ = ["routes"]

routes = APIRouter(tags=["OpenAI"])


@routes.get("/v1/models")
async def models(request: Request) -> Response:
    """The models that can be asked."""
    return json_response(model_list(await service_of(request).cards()))


@routes.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> Response:
    """What is known of one of them."""
    return json_response(model_object(await service_of(request).card(name)))


@routes.post("/v1/chat/completions")
async def chat_completions(request: Request) -> Response:
    """Answer a conversation."""
    call = read_chat(await body_of(request))

    def frames(stamp: Stamp) -> Frames:
        stream = ChatStream(stamp, call.request.n, call.include_usage)
        return _frames(stream)

    return await reply(
        request,
        Exchange(
            call.model,
            lambda loaded, listener: loaded.llm.answer(call.request, listener).choices,
            call.stream,
            frames,
            chat_completion,
            "chatcmpl-",
        ),
    )


@routes.post("/v1/completions")
async def completions(request: Request) -> Response:
    """Continue texts."""
    call = read_completion(await body_of(request))
    n = call.requests[0].n

    def frames(stamp: Stamp) -> Frames:
        return _frames(CompletionStream(stamp, len(call.requests), n, call.include_usage))

    return await reply(
        request,
        Exchange(
            call.model,
            lambda loaded, listener: [
                choice for each in call.requests for choice in loaded.llm.complete(each, listener).choices
            ],
            call.stream,
            frames,
            lambda answers, stamp: completion(answers, n, stamp),
            "cmpl-",
        ),
    )


def _frames(stream: ChatStream | CompletionStream) -> Frames:
    return Frames(
        event=lambda event, choice: b"".join(map(unnamed_event, stream.events(event, choice))),
        failed=lambda failure: unnamed_event(openai_error(failure)),
        end=DONE,
        heartbeat=b": still here\n\n",
    )
