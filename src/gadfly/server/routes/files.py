"""OpenAI's files: what is sent to learn from. Each key has files of its own."""

import asyncio

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.api.openai_files import file_deleted, file_list, file_object, read_upload
from gadfly.server.body import read_bytes
from gadfly.server.refusals import json_response
from gadfly.server.routes.pages import page_of
from gadfly.server.schemas import form
from gadfly.server.service import owner_of, service_of, workshop_of

__all__ = ["routes"]

routes = APIRouter(prefix="/v1/files", tags=["OpenAI"])


@routes.post("", openapi_extra=form("file", "purpose"))
async def add(request: Request) -> Response:
    """Keep a file of lines of JSON, for a fine-tuning job that will name its id."""
    uploads = workshop_of(request).uploads
    data = await read_bytes(request, service_of(request).limits.training)
    kind = request.headers.get("content-type", "")
    facts = await asyncio.to_thread(lambda: uploads.add(owner_of(request), read_upload(data, kind)))
    return json_response(file_object(facts))


@routes.get("")
async def every(request: Request, after: str = "", limit: str = "", purpose: str = "", order: str = "desc") -> Response:
    """Those that are kept, the latest first unless `order` is asc."""
    Fields({"order": order}).one_of("order", ("asc", "desc"), "desc")
    found = list(await asyncio.to_thread(workshop_of(request).uploads.list, owner_of(request)))
    found = [facts for facts in found if purpose in ("", facts.purpose)]
    page, more = page_of(found[::-1] if order == "asc" else found, after, limit, 10_000)
    return json_response(file_list(page, more))


@routes.get("/{id}")
async def one(request: Request, id: str) -> Response:  # noqa: A002
    """What is known of a file."""
    facts = await asyncio.to_thread(workshop_of(request).uploads.get, id, owner_of(request))
    return json_response(file_object(facts))


@routes.get("/{id}/content")
async def content(request: Request, id: str) -> Response:  # noqa: A002
    """The file, as it was sent."""
    uploads, owner = workshop_of(request).uploads, owner_of(request)
    data = await asyncio.to_thread(lambda: uploads.path(id, owner).read_bytes())
    return Response(data, 200, {"content-security-policy": "sandbox"}, "application/jsonl")


@routes.delete("/{id}")
async def remove(request: Request, id: str) -> Response:  # noqa: A002
    """Forget a file; jobs that have begun have a copy."""
    await asyncio.to_thread(workshop_of(request).uploads.remove, id, owner_of(request))
    return json_response(file_deleted(id))
