"""Anthropic's dialect: messages, and how many tokens they would be. Its models are those of OpenAI's route."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.api.anthropic_messages import PING, MessageStream, message, token_count
from gadfly.api.anthropic_request import MessageCall, check_version, read_message
from gadfly.server.record import Record
from gadfly.server.refusals import json_response
from gadfly.server.reply import Dialect, Exchange, reply
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import named_event

__all__ = ["routes"]

routes = APIRouter(tags=["Anthropic"])

_MESSAGE = Dialect(named_event, "msg_", heartbeat=named_event(PING))


@routes.post("/v1/messages", openapi_extra=body("/v1/messages"))
async def messages(request: Request) -> Response:
    """Answer a conversation."""
    call, request_id = await _read(request), Record.of(request.scope).id
    return await reply(
        request,
        Exchange(
            _MESSAGE,
            call.model,
            (call.request,),
            call.stream,
            stream=lambda start: MessageStream(start.stamp, start.usages()[0], request_id),
            body=lambda answers, start: message(answers[0], start.stamp),
        ),
    )


@routes.post("/v1/messages/count_tokens", openapi_extra=body("/v1/messages/count_tokens"))
async def count_tokens(request: Request) -> Response:
    """How many tokens a conversation would begin with."""
    call, service = await _read(request), service_of(request)
    async with service.models.use(service.model_name(call.model)) as loaded:
        ids = await asyncio.to_thread(loaded.llm.prompt_ids, call.request.messages, call.request.tools)
    return json_response(token_count(len(ids)))


async def _read(request: Request) -> MessageCall:
    check_version(request.headers.get("anthropic-version"))
    return read_message(await body_of(request))
