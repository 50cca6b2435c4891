"""OpenAI's responses, and the conversations that they go on with."""

from fastapi import APIRouter, Request, Response

from gadfly.api.answer import Answer
from gadfly.api.openai_responses import ResponseStream, response
from gadfly.api.openai_responses_request import read_response
from gadfly.errors import NotFoundError
from gadfly.server.record import Record
from gadfly.server.refusals import json_response
from gadfly.server.reply import Dialect, Exchange, Start, reply
from gadfly.server.schemas import body
from gadfly.server.service import body_of, service_of
from gadfly.server.stream import HEARTBEAT, named_event

__all__ = ["routes"]

routes = APIRouter(tags=["OpenAI"])

_RESPONSE = Dialect(named_event, "resp_", heartbeat=HEARTBEAT)


@routes.post("/v1/responses", openapi_extra=body("/v1/responses"))
async def responses(request: Request) -> Response:
    """Answer the next turn of a conversation, whose earlier ones may be here."""
    owner, kept = Record.of(request.scope).client, service_of(request).continuations
    read = read_response(await body_of(request), earlier=lambda response: kept.find(response, owner))
    earlier = kept.find(read.previous, owner) if read.previous else ()
    if earlier is None:
        raise NotFoundError(f"there is no response {read.previous!r:.100} here to go on from; send what came before")
    call = read.after(earlier)

    def finished(answers: list[Answer], start: Start) -> None:
        if call.store:
            kept.keep(start.stamp.id, owner, (*earlier, *call.turn, answers[0].message))

    return await reply(
        request,
        Exchange(
            _RESPONSE,
            call.model,
            (call.request,),
            call.stream,
            stream=lambda start: ResponseStream(start.stamp, call),
            body=lambda answers, start: response(answers[0], start.stamp, call),
            finished=finished,
        ),
    )


@routes.delete("/v1/responses/{id}")
async def forget(request: Request, id: str) -> Response:  # noqa: A002
    """Forget a conversation."""
    if not service_of(request).continuations.forget(id, Record.of(request.scope).client):
        raise NotFoundError(f"there is no response {id!r:.100} here")
    return json_response({"id": id, "object": "response", "deleted": True})
