"""From a file to the store: which format each item has, what of it can be taken, and a report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gadfly.chat.imports import chatgpt, claude, librechat, llama_cpp, open_webui, plain
from gadfly.chat.imports.file import items_of
from gadfly.chat.imports.reasons import Place, Reason, Skipped
from gadfly.chat.imports.tree import ordered, shown_leaf
from gadfly.chat.imports.values import Told, text_of
from gadfly.chat.store import Arrival, Store
from gadfly.chat.title import title_of
from gadfly.chat.values import Provenance
from gadfly.errors import RequestError

__all__ = ["FORMATS", "Report", "take"]

Format = tuple[str, Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Told]]
FORMATS: tuple[Format, ...] = (  # in this order: the first that fits
    ("chatgpt", chatgpt.fits, chatgpt.read),
    ("claude", claude.fits, claude.read),
    ("open-webui", open_webui.fits, open_webui.read),
    ("librechat", librechat.fits, librechat.read),
    ("llama.cpp", llama_cpp.fits, llama_cpp.read),
    ("gadfly-chat", plain.fits_record, plain.read_record),
    ("messages", plain.fits_messages, plain.read_messages),
    ("sharegpt", plain.fits_sharegpt, plain.read_sharegpt),
)
_SKIPPED = 1000  # that are told one by one
_MESSAGES = 100_000  # of a conversation
_TITLE = 300


@dataclass(frozen=True)
class Report:
    """`taken` conversations came, by id in `chats`; `format` is that of most of them."""

    taken: int
    chats: tuple[str, ...]
    format: str | None
    skipped: tuple[Skipped, ...]

    def table(self) -> dict[str, Any]:
        """As JSON."""
        skipped = [one.table() for one in self.skipped]
        return {"taken": self.taken, "chats": self.chats, "format": self.format, "skipped": skipped}


def take(store: Store, owner: str, data: bytes) -> Report:
    """Keep the conversations of a file, each whole or not at all. One that came before comes no second time."""
    chats: list[str] = []
    skipped: list[Skipped] = []
    met: dict[str, int] = {}
    for item in items_of(data):
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        place, value = replace(item[0], title=_title(item[1])), item[1]
        try:
            form, told = _read(value)
            met[form] = met.get(form, 0) + 1
            chat = _keep(store, owner, form, told)
        except Reason as reason:
            skipped.append(Skipped(place, reason))
            continue
        except (ValueError, RequestError) as error:
            skipped.append(Skipped(place, Reason("refused", detail=str(error))))
            continue
        if chat is None:
            skipped.append(Skipped(place, Reason("here")))
            continue
        chats.append(chat)
        skipped += [Skipped(replace(place, extent="in"), note) for note in told.notes]
    more = len(skipped) - _SKIPPED
    if more > 0:
        skipped[_SKIPPED:] = [Skipped(Place("more", number=more), Reason("like"))]
    most = max(met, key=lambda name: met[name]) if met else None
    return Report(len(chats), tuple(chats), most, tuple(skipped))


def _read(value: object) -> tuple[str, Told]:
    if not isinstance(value, dict):
        raise Reason("value", value=f"{value!r:.40}")
    for name, fits, read in FORMATS:
        if fits(value):
            return name, read(value)
    keys = ", ".join(repr(key)[:20] for key in list(value)[:6]) or "nothing"
    raise Reason("format", keys=keys)


def _keep(store: Store, owner: str, form: str, told: Told) -> str | None:
    """The chat's id; None if it is here already."""
    said = ordered(told.said)
    if not said:
        raise Reason("silent")
    if len(said) > _MESSAGES:
        raise Reason("long", messages=len(said), limit=_MESSAGES)
    source = f"{form}:{told.key}:{told.updated or ''}"[:500] if told.key else None
    if source is not None and store.has_source(owner, source):
        return None
    index = {one.key: number for number, one in enumerate(said)}
    arrivals = [
        Arrival(
            index[one.parent] if one.parent is not None else None,
            one.message,
            one.created if one.created is not None else told.created,
            Provenance(model=one.model, source=form, finish=one.finish) if one.message.role == "assistant" else None,
            tuple((file.name[:200], file.type[:100], file.text) for file in one.files),
        )
        for one in said
        if one.message is not None
    ]
    leaf = shown_leaf(told.said, said, told.leaf)
    first = next((one.message.content for one in said if one.message and one.message.role == "user"), "")
    fields = {"archived": told.archived, "pinned": told.pinned, "system": told.system, "tags": _tags(told)}
    return store.arrive(
        owner,
        told.title.strip()[:_TITLE] or title_of(first[:2000]),
        arrivals,
        None if leaf is None else index[leaf],
        source=source,
        created=told.created,
        updated=told.updated,
        **fields,
    ).id


def _tags(told: Told) -> list[str]:
    return [tag.strip()[:100] for tag in told.tags if tag.strip()][:50]


def _title(value: object) -> str:
    table = value if isinstance(value, dict) else {}
    return next((text_of(table[key])[:60] for key in ("title", "name") if isinstance(table.get(key), str)), "")
