"""A message: its name and marks, what its reader thinks of it, and how it came about."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields, check_text
from gadfly.chat.store import Node
from gadfly.errors import NotFoundError
from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.app.shapes import feedback_shape, node_shape
from gadfly.server.refusals import json_response
from gadfly.server.schemas import body
from gadfly.server.service import body_of, owner_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/chats/{id}/nodes/{node}", tags=["App"])

_REASONS, _REASON = 20, 1000


@routes.patch("", openapi_extra=body("/app/api/chats/{id}/nodes/{node}"))
async def mark(request: Request, id: str, node: int) -> Response:  # noqa: A002
    """Name it, make it a favourite, hide it with all that is below it or show it again."""
    app, owner = chat_app_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    marks: dict[str, Any] = {}
    if "name" in fields:
        marks["name"] = fields.text("name", "", 200)
    for key in ("favourite", "pruned"):
        if (flag := fields.flag(key, None)) is not None:
            marks[key] = flag
    one = await asyncio.to_thread(lambda: app.store.mark(owner, id, node, **marks))
    shape = app.tell_node(owner, id, one)
    await app.tell_chat(owner, id)
    return json_response({"node": shape})


@routes.put("/feedback", openapi_extra=body("/app/api/chats/{id}/nodes/{node}/feedback"))
async def feedback(request: Request, id: str, node: int) -> Response:  # noqa: A002
    """What is thought of an answer, in place of what was thought before."""
    app, owner = chat_app_of(request), owner_of(request)
    fields = Fields(await body_of(request))
    thumb = fields.whole("thumb", -1, 1, 0)
    reasons = tuple(check_text(item, path, _REASON) for path, item in fields.items("reasons", _REASONS))
    corrected = fields.text("corrected", None, 1_000_000)
    given = await asyncio.to_thread(app.store.feedback, owner, id, node, thumb, reasons, corrected)  # type: ignore[arg-type]
    one = await asyncio.to_thread(app.store.node, owner, id, node)
    app.tell_node(owner, id, one)
    return json_response({"feedback": feedback_shape(given)})


@routes.get("/inside")
async def inside(request: Request, id: str, node: int) -> Response:  # noqa: A002
    """Its tokens with what the model held likely instead, the prompt as the model saw it, and what it took."""
    app, owner = chat_app_of(request), owner_of(request)
    one, trace = await asyncio.to_thread(lambda: (app.store.node(owner, id, node), app.store.trace(owner, id, node)))
    if trace is None:
        why = "it is still being written" if one.state == "writing" else "nothing was kept of its tokens"
        raise NotFoundError(f"there is nothing to see inside of message {node}: {why}")
    return json_response({**_opened(trace), **_made_by(one)})


def _opened(trace: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "start": trace["start"],
        "tokens": [
            {"text": text, "logprob": logprob, "top": [{"text": other, "logprob": one} for other, one in top]}
            for text, logprob, top in trace["tokens"]
        ],
        "prompt": [{"text": text, "special": bool(special)} for text, special in trace["prompt"]],
        "experts": trace["experts"],
    }


def _made_by(one: Node) -> dict[str, Any]:
    shape = node_shape(one)
    keys = ("model", "digest", "licence", "build", "persona", "wit", "sampling", "seed", "finish", "usage")
    return {**{key: shape[key] for key in keys}, "system": one.provenance.system}
