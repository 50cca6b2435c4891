"""Chats of other programs, taken in; and the whole database as one file."""

import asyncio
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from gadfly.chat.imports import take
from gadfly.server.app.chat_app import chat_app_of, owner_of
from gadfly.server.body import read_bytes
from gadfly.server.refusals import Refused, json_response
from gadfly.server.schemas import binary
from gadfly.server.service import service_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api", tags=["App"])


@routes.post("/import", openapi_extra=binary())
async def bring(request: Request) -> Response:
    """Take in what another program has exported; what could not be taken is told."""
    app, owner = chat_app_of(request), owner_of(request)
    data = await read_bytes(request, service_of(request).limits.imported)
    async with app.reading:
        report = await asyncio.to_thread(take, app.store, owner, data)
    app.feeds.tell(owner, "chats", {})
    return json_response(asdict(report))


@routes.get("/export/database")
async def database(request: Request) -> Response:
    """Everything, as the file that it is kept in. It has the chats of all keys, so nobody gets it by one."""
    app = chat_app_of(request)
    if app.closed or owner_of(request):
        raise Refused("forbidden", "the database has everybody's chats; export yours as messages instead")
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="gadfly-backup-", dir=app.home))
    copy = folder / "chats.sqlite"
    try:
        await asyncio.to_thread(app.store.backup, copy)
    except BaseException:
        shutil.rmtree(folder)
        raise
    done = BackgroundTask(shutil.rmtree, folder)
    headers = {"cache-control": "no-store"}
    return FileResponse(copy, 200, headers, "application/vnd.sqlite3", done, filename="gadfly-chats.sqlite")
