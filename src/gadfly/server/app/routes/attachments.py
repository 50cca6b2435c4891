"""Files that a user adds to a question: text and PDF, of which the model reads the text."""

import asyncio
import codecs

from fastapi import APIRouter, Request, Response

from gadfly.errors import RequestError
from gadfly.server.app.chat_app import chat_app_of
from gadfly.server.app.pdf_text import pdf_text
from gadfly.server.app.shapes import attachment_shape
from gadfly.server.body import read_bytes
from gadfly.server.refusals import json_response
from gadfly.server.schemas import binary
from gadfly.server.service import service_of

__all__ = ["routes"]

routes = APIRouter(prefix="/app/api/attachments", tags=["App"])

_NAME = 200


@routes.post("", openapi_extra=binary())
async def attach(request: Request, name: str = "file") -> Response:
    """Keep a file, sent as it is, for a message that will name its hash."""
    app, limits = chat_app_of(request), service_of(request).limits
    data = await read_bytes(request, limits.upload)
    name = "".join(one for one in name if one.isprintable()).strip()[-_NAME:] or "file"
    if data.startswith(b"%PDF-"):
        async with app.reading:
            found = await pdf_text(data)
        kind, text = "application/pdf", found.text
    else:
        kind, text = "text/plain", _text(data)
    one = await asyncio.to_thread(app.store.attach, name, kind, data, text)
    return json_response(attachment_shape(one), 201)


def _text(data: bytes) -> str:
    """Raises RequestError unless it is text."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (b"", "utf-8-sig")):
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                raise RequestError(f"this file is neither a PDF nor text in UTF-8 (byte {error.start})") from None
            break
    if "\0" in text:
        raise RequestError("this file is neither a PDF nor text: it has zero bytes in it")
    if not text.strip():
        raise RequestError("there is nothing in this file")
    return text.replace("\r\n", "\n")
