"""OpenAI's files: the form that one arrives in, and what is said of those that are here. Only fine-tuning has any."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.api.fields import Fields
from gadfly.errors import RequestError

__all__ = ["FileFacts", "Upload", "file_deleted", "file_list", "file_object", "read_upload"]

_BOUNDARY = re.compile(r"""multipart/form-data;.*?\bboundary=("?)([ -!#-~]{1,70})\1\s*(?:;.*)?""", re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="([^"\r\n]*)"', re.IGNORECASE)
_FILENAME = re.compile(rb'[;\s]filename="([^"\r\n]*)"', re.IGNORECASE)
_PARTS = 20
_LONGEST_NAME = 200  # characters
PURPOSES = ("fine-tune",)


@dataclass(frozen=True)
class Upload:
    """A file as it was sent. `filename` is what its sender calls it, and never a path here."""

    filename: str
    data: bytes


@dataclass(frozen=True)
class FileFacts:
    """`size` is bytes, `created` seconds since 1970, `owner` the name of a key."""

    id: str
    filename: str
    size: int
    created: int
    purpose: str = "fine-tune"
    owner: str = ""


def read_upload(body: bytes, content_type: str) -> Upload:
    """The file of a form (RFC 7578). Raises RequestError unless there is one, for a purpose that we have."""
    match = _BOUNDARY.fullmatch(content_type)
    if match is None:
        raise RequestError("a file is sent as multipart/form-data with a boundary, and its purpose beside it")
    pieces = (b"\r\n" + body).split(b"\r\n--" + match[2].encode(), _PARTS + 1)
    if len(pieces) > _PARTS + 1 or len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise RequestError(f"the form is cut off, or has more than {_PARTS} parts")
    form: dict[str, Any] = {}
    upload = None
    for piece in pieces[1:-1]:
        head, separator, content = piece.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if not separator or name is None:
            raise RequestError("a part of the form has no name")
        if name[1] == b"file":
            filename = _FILENAME.search(head)
            upload = Upload(_text(filename[1])[:_LONGEST_NAME] if filename else "upload.jsonl", content)
        else:
            form[_text(name[1])] = _text(content)
    Fields(form).need_one_of("purpose", PURPOSES)
    if expiring := next((name for name in form if name.startswith("expires_after")), None):
        raise RequestError("files do not expire here; delete them when they are no longer needed", expiring[:100])
    if upload is None:
        raise RequestError("file is missing from the form", "file")
    if not upload.data.strip():
        raise RequestError("file is empty; expected a JSON object per line", "file")
    return upload


def file_object(facts: FileFacts) -> Mapping[str, Any]:
    """The body of /v1/files/ID."""
    return {
        "id": facts.id,
        "object": "file",
        "bytes": facts.size,
        "created_at": facts.created,
        "filename": facts.filename,
        "purpose": facts.purpose,
        "status": "processed",
    }


def file_list(files: Sequence[FileFacts], more: bool = False) -> Mapping[str, Any]:
    """The body of /v1/files."""
    return {
        "object": "list",
        "data": [file_object(facts) for facts in files],
        "first_id": files[0].id if files else None,
        "last_id": files[-1].id if files else None,
        "has_more": more,
    }


def file_deleted(file: str) -> Mapping[str, Any]:
    """What is said when one is gone."""
    return {"id": file, "object": "file", "deleted": True}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RequestError("the form has a name or a value that is not UTF-8") from None
