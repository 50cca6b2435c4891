"""The formats there are, and the one way to write any of them."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gadfly.chat.exports import html, lines, markdown
from gadfly.chat.store import Conversation, Store
from gadfly.errors import RequestError

__all__ = ["FORMATS", "Export", "file_name", "write"]


@dataclass(frozen=True)
class Export:
    """`body` writes a conversation; `head` and `foot` go around all of them."""

    extension: str
    type: str
    body: Callable[[Conversation, Store], str]
    head: str = ""
    foot: str = ""


FORMATS = {
    "markdown": Export("md", "text/markdown; charset=utf-8", markdown.body),
    "html": Export("html", "text/html; charset=utf-8", html.body, html.HEAD, html.FOOT),
    "messages": Export("jsonl", "application/jsonl", lines.messages),
    "sharegpt": Export("jsonl", "application/jsonl", lines.sharegpt),
}


def write(form: str, store: Store, owner: str, chats: Iterable[str]) -> Iterator[str]:
    """The chats with these ids, in pieces of text. Raises RequestError for an unknown format, NotFoundError."""
    if form not in FORMATS:
        raise RequestError(f"there is no format {form!r:.40}; choose from {', '.join(FORMATS)}", "format")
    chosen = FORMATS[form]
    yield chosen.head
    for chat in chats:
        yield chosen.body(store.open(owner, chat), store)
    yield chosen.foot


def file_name(title: str, extension: str) -> str:
    """A name for the export of a chat that every file system takes, and that leads nowhere else."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:60].strip("-")
    return f"{stem or 'chat'}.{extension}"
