"""Chats of other programs, taken in; ours, to read or to train on; and the whole database as one file."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, StreamingResponse

from gadfly.chat.exports import FORMATS, file_name, write
from gadfly.chat.imports import take
from gadfly.chat.store import Store
from gadfly.errors import RequestError
from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.body import read_bytes
from gadfly.server.refusals import Refused, json_response
from gadfly.server.schemas import binary
from gadfly.server.service import owner_of, service_of

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
    return json_response(report.table())


@routes.get("/chats/{id}/export")
async def one(request: Request, id: str, format: str = "markdown") -> Response:  # noqa: A002
    """A chat as markdown, html, messages or sharegpt: the path that is shown."""
    app, owner = chat_app_of(request), owner_of(request)
    info = await asyncio.to_thread(app.store.info, owner, id)
    return _written(app.store, owner, [id], format, info.title)


@routes.get("/export")
async def every(request: Request, format: str = "markdown") -> Response:  # noqa: A002
    """All chats that are not in the bin."""
    app, owner = chat_app_of(request), owner_of(request)
    return _written(app.store, owner, _all(app.store, owner), format, "gadfly-chats")


def _written(store: Store, owner: str, chats: Iterable[str], form: str, title: str) -> Response:
    if form not in FORMATS:
        raise RequestError(f"there is no format {form!r:.40}; choose from {', '.join(FORMATS)}", "format")
    export = FORMATS[form]
    headers = {
        "content-disposition": f'attachment; filename="{file_name(title, export.extension)}"',
        "content-security-policy": "sandbox",  # should it be shown all the same
    }
    return StreamingResponse(write(form, store, owner, chats), 200, headers, export.type)


def _all(store: Store, owner: str) -> Iterator[str]:
    for place in ("active", "archived"):
        cursor = None
        while True:
            listing = store.chats(owner, place=place, cursor=cursor, limit=200)
            yield from (info.id for info in listing.chats)
            if (cursor := listing.next) is None:
                break


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
    return FileResponse(copy, 200, None, "application/vnd.sqlite3", done, filename="gadfly-chats.sqlite")
