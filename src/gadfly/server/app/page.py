"""The built page of the chat app, out of `server/static`: read once, compressed once, never a path of a request's.

Nothing in it may come from elsewhere, and no text that a model or a person has written may run: the headers say so to
the browser, whatever the page itself does.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.datastructures import Headers
from starlette.responses import Response

from gadfly.server.refusals import Refused

__all__ = ["HEADERS", "Page"]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_ABSENT = (
    "The chat app is not built into this Gadfly; in a checkout, make web builds it. The APIs are here all the same.\n"
)
_TEXT = ("text/", "application/javascript", "application/json", "application/manifest+json", "image/svg")
_TYPES = {".webmanifest": "application/manifest+json", ".js": "text/javascript", ".woff2": "font/woff2"}
_FOR_EVER = "public, max-age=31536000, immutable"  # names of assets change with what is in them


@dataclass(frozen=True)
class _File:
    body: bytes
    packed: bytes | None
    type: str
    tag: str


class Page:
    """The files of `folder` by their paths; index.html is also "/"."""

    def __init__(self, folder: Traversable | None = None) -> None:
        self._files = _read(folder or resources.files("gadfly.server") / "static", "/")
        if "/index.html" in self._files:
            self._files["/"] = self._files["/index.html"]

    @property
    def paths(self) -> list[str]:
        return list(self._files)

    def get(self, path: str, headers: Headers) -> Response:
        """Raises Refused if there is nothing of that path."""
        if (file := self._files.get(path)) is None:
            if path == "/":
                return Response(_ABSENT, 200, HEADERS, "text/plain; charset=utf-8")
            raise Refused("missing", f"there is nothing at {path:.100}")
        told = {
            **HEADERS,
            "etag": file.tag,
            "vary": "accept-encoding",
            "cache-control": _FOR_EVER if path.startswith("/assets/") else "no-cache",
        }
        if file.tag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=told)
        if file.packed is not None and "gzip" in headers.get("accept-encoding", ""):
            return Response(file.packed, 200, {**told, "content-encoding": "gzip"}, file.type)
        return Response(file.body, 200, told, file.type)


def _read(folder: Traversable, path: str) -> dict[str, _File]:
    found: dict[str, _File] = {}
    if not folder.is_dir():
        return found
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _read(entry, f"{path}{entry.name}/")
        elif not entry.name.startswith("."):
            found[path + entry.name] = _file(entry.name, entry.read_bytes())
    return found


def _file(name: str, body: bytes) -> _File:
    ending = name[name.rfind(".") :]
    kind = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    packed = gzip.compress(body, mtime=0) if kind.startswith(_TEXT) else None
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    return _File(body, packed, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
