"""Anthropic's dialect: messages, and how many tokens they would be. Its models are those of OpenAI's route."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.api.anthropic_messages import PING, MessageStream, message, token_count
from gadfly.api.anthropic_request import MessageCall, check_version, read_message
from gadfly.api.errors import anthropic_error
from gadfly.server.record import Record
from gadfly.server.refusals import json_response
from gadfly.server.reply import Encoder, Exchange, Start, reply
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import named_event

__all__ = ["routes"]

routes = APIRouter(tags=["Anthropic"])


@routes.post("/v1/messages", openapi_extra=body("/v1/messages"))
async def messages(request: Request) -> Response:
    """Answer a conversation."""
    call, request_id = await _read(request), Record.of(request.scope).id

    def stream(start: Start) -> Encoder:
        made = MessageStream(start.stamp)
        return Encoder(
            event=lambda event, _: b"".join(map(named_event, made.events(event))),
            failed=lambda failure: named_event(anthropic_error(failure, request_id)),
            heartbeat=named_event(PING),
        )

    return await reply(
        request,
        Exchange(
            call.model,
            (call.request,),
            stream if call.stream else None,
            lambda answers, start: message(answers[0], start.stamp),
            id="msg_",
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
