"""The workshop: what there is to learn from, and the files for that."""

import asyncio
import shutil
from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from gadfly.api.fields import Fields
from gadfly.api.openai_files import Upload
from gadfly.chat.exports.pairs import Licences
from gadfly.errors import RequestError
from gadfly.server.app.adapter_shapes import adapter_shapes
from gadfly.server.app.chat_app import chat_app_of, require_scope
from gadfly.server.app.workshop_shapes import check_shape, file_shape
from gadfly.server.body import read_bytes
from gadfly.server.refusals import json_response
from gadfly.server.schemas import binary
from gadfly.server.service import owner_of, service_of, workshop_of
from gadfly.server.workshop.job import METHODS
from gadfly.server.workshop.recipe import usual
from gadfly.server.workshop.workshop import Workshop

__all__ = ["routes", "workshop_for"]

routes = APIRouter(prefix="/app/api/workshop", tags=["App"])

_NAME = 200


def workshop_for(request: Request) -> tuple[Workshop, str]:
    """The workshop, and whose files and runs a request is about. Raises Refused for whoever may not teach."""
    require_scope(request, "train")
    return workshop_of(request), owner_of(request)


@routes.get("")
async def look(request: Request) -> Response:
    """What can be taught here, what has been, and what that takes."""
    workshop, owner = workshop_for(request)
    service, app = service_of(request), chat_app_of(request)
    stocked = await service.models.stocked()
    settings = await asyncio.to_thread(app.settings)
    default = settings.model if settings.model in stocked else service.default_model

    def told() -> dict[str, Any]:
        runs = {job.adapter: job.id for job in reversed(workshop.jobs.list(owner)) if job.adapter}
        return {
            "available": workshop.why_not is None,
            "why": workshop.why_not,
            "models": [
                {"name": name, "bytes": card.size, "default": name == default}
                for name, card in stocked.items()
                if workshop.can_teach(name)
            ],
            "adapters": [
                {**shape, "run": runs.get(shape["name"])}
                for shape in adapter_shapes(app.home)
                if shape["own"] and "error" not in shape
            ],
            "usual": {method: usual(method) for method in METHODS},
            "limits": {
                "upload": service.limits.training,
                "files": workshop.uploads.most,
                "runs": workshop.jobs.most,
            },
            "room": shutil.disk_usage(next(one for one in (app.home, *app.home.parents) if one.is_dir())).free,
        }

    return json_response(await asyncio.to_thread(told))


@routes.get("/material")
async def material(request: Request, licences: str = "free") -> Response:
    """What there is to learn from in one's chats, of answers that `licences` (free, conditions, all) let through."""
    workshop, owner = workshop_for(request)
    Fields({"licences": licences}).need_one_of("licences", get_args(Licences))
    async with chat_app_of(request).reading:
        found = await asyncio.to_thread(workshop.material, owner, licences)
    counts = {name: found["lines"].get(f"{name}.jsonl", 0) for name in ("lessons", "pairs", "thumbs")}
    return json_response({**counts, "left_out": found["left_out"]})


@routes.get("/files")
async def files(request: Request) -> Response:
    """Those that were sent, the latest first."""
    workshop, owner = workshop_for(request)
    found = await asyncio.to_thread(workshop.uploads.list, owner)
    return json_response({"files": [file_shape(facts) for facts in found]})


@routes.post("/files", openapi_extra=binary())
async def take(request: Request, name: str = "chats.jsonl") -> Response:
    """Keep a file, sent as it is; one that is no .jsonl is brought into our own form."""
    workshop, owner = workshop_for(request)
    data = await read_bytes(request, service_of(request).limits.training)
    name = "".join(one for one in name if one.isprintable()).strip()[-_NAME:]
    if not data.strip():
        raise RequestError("there is nothing in this file")
    async with chat_app_of(request).reading:
        facts, report = await asyncio.to_thread(workshop.take, owner, Upload(name, data))
    return json_response({"file": file_shape(facts), "import": report}, 201)


@routes.get("/files/{id}/check")
async def check(request: Request, id: str, model: str = "", longest: str = "1024") -> Response:  # noqa: A002
    """What is wrong with a file, by line; with a model also how long it is in tokens, and what is cut off."""
    workshop, owner = workshop_for(request)
    if not (longest.isascii() and longest.isdigit() and 8 <= int(longest[:9]) <= 2**20):
        raise RequestError(f"longest is {longest!r:.40}; expected a whole number from 8 to {2**20}", "longest")
    name = await service_of(request).models.named(model) if model else None
    async with chat_app_of(request).reading:
        facts = await asyncio.to_thread(workshop.uploads.get, id, owner)
        report = await asyncio.to_thread(workshop.check, owner, id, name, int(longest[:9]))
    return json_response(check_shape(report, facts))


@routes.delete("/files/{id}")
async def remove(request: Request, id: str) -> Response:  # noqa: A002
    """Forget a file; runs that have begun have a copy."""
    workshop, owner = workshop_for(request)
    await asyncio.to_thread(workshop.uploads.remove, id, owner)
    return json_response({})
