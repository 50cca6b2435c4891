"""Messages by their content: what was said twice, in whatever chat, is kept once and never changed.

A message's hash is the SHA-256 of JSON with sorted keys and no spaces, of role, content, reasoning, tool_calls,
tool_call_id, name and the hashes of its attachments. Terms of answers are kept likewise.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from gadfly.chat.values import Attachment, Provenance
from gadfly.conversation import Message, ToolCall
from gadfly.errors import NotFoundError, RequestError

__all__ = [
    "TEXT_LIMIT",
    "attachments_of",
    "canonical",
    "digest",
    "forget_messages",
    "keep_attachment",
    "keep_message",
    "keep_terms",
    "message_of",
    "provenance_of",
]

TEXT_LIMIT = 16_000_000  # characters of a message
JSON_LIMIT = 1_000_000  # of what goes with it
_FORM: Mapping[str, Any] = {"ensure_ascii": False, "sort_keys": True, "separators": (",", ":")}
_NONE = Provenance()
OUTCOME = ("seed", "finish", "usage", "dropped", "error")  # of a Provenance; the rest is terms


def keep_message(connection: sqlite3.Connection, message: Message, attachments: Sequence[str] = ()) -> int:
    """Its number. Raises NotFoundError for an attachment that was never stored."""
    if len(message.content) > TEXT_LIMIT or len(message.reasoning) > TEXT_LIMIT:
        raise RequestError(f"the message is longer than {TEXT_LIMIT} characters; send it as several")
    more = {name: value for name, value in _more(message).items() if value}
    kept = canonical(more, "what goes with the message")
    key = digest(message, attachments)
    row = connection.execute("SELECT id FROM message WHERE hash = ?", (key,)).fetchone()
    if row is not None:
        return int(row["id"])
    cursor = connection.execute(
        "INSERT INTO message (hash, role, content, reasoning, more) VALUES (?, ?, ?, ?, ?)",
        (key, message.role, message.content, message.reasoning, kept if more else None),
    )
    number = cursor.lastrowid
    assert number is not None
    connection.execute("INSERT INTO message_text (rowid, content) VALUES (?, spaced(?))", (number, message.content))
    for position, attachment in enumerate(attachments):
        if connection.execute("SELECT 1 FROM attachment WHERE hash = ?", (attachment,)).fetchone() is None:
            raise NotFoundError(f"there is no attachment {attachment[:80]!r}; upload it first")
        connection.execute("INSERT INTO attached VALUES (?, ?, ?)", (number, position, attachment))
    return number


def forget_messages(connection: sqlite3.Connection) -> None:
    """Delete those that no chat has any more, the terms of such answers, and every trace of their words."""
    gone = "FROM message WHERE id NOT IN (SELECT message FROM node WHERE message NOTNULL)"
    forgotten = f"SELECT 'delete', id, spaced(content) {gone}"
    connection.execute(f"INSERT INTO message_text (message_text, rowid, content) {forgotten}")
    for index in ("message_text", "title_text"):
        connection.execute(f"INSERT INTO {index} ({index}) VALUES ('optimize')")  # until then, words remain
    connection.execute(f"DELETE {gone}")
    connection.execute("DELETE FROM terms WHERE id NOT IN (SELECT terms FROM node WHERE terms NOTNULL)")


def message_of(row: sqlite3.Row) -> Message:
    """From columns role, content, reasoning and more."""
    if row["more"] is None:
        return Message(row["role"], row["content"], row["reasoning"])
    more = json.loads(row["more"])
    calls = tuple(ToolCall(**call) for call in more.pop("tool_calls", ()))
    return Message(row["role"], row["content"], row["reasoning"], calls, **more)


def keep_attachment(connection: sqlite3.Connection, name: str, type: str, data: bytes, text: str) -> str:  # noqa: A002
    """Its hash. One that no message has is kept for a day from the last time that it was sent."""
    key = hashlib.sha256(json.dumps([name, type, hashlib.sha256(data).hexdigest()]).encode()).hexdigest()
    connection.execute(
        "INSERT INTO attachment VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET created = excluded.created",
        (key, name, type, data, text, time.time()),
    )
    return key


def attachments_of(connection: sqlite3.Connection, messages: Iterable[int]) -> Mapping[int, tuple[Attachment, ...]]:
    """By message, without their text; only messages that have any."""
    found: dict[int, tuple[Attachment, ...]] = {}
    query = (
        "SELECT message, hash, name, type, length(data) AS bytes FROM attached JOIN attachment ON hash = attachment "
        "WHERE message IN (SELECT value FROM json_each(?)) ORDER BY message, position"
    )
    for row in connection.execute(query, (json.dumps(list(messages)),)):
        one = Attachment(row["hash"], row["name"], row["type"], row["bytes"], "")
        found[row["message"]] = (*found.get(row["message"], ()), one)
    return found


def keep_terms(connection: sqlite3.Connection, provenance: Provenance) -> tuple[int | None, str | None]:
    """The number of its terms, and its outcome as JSON; None where there is nothing to tell."""
    table = _told(provenance)
    outcome = {name: table.pop(name) for name in OUTCOME if name in table}
    said = canonical(outcome, "what became of the answer") if outcome else None
    if not table:
        return None, said
    body = canonical(table, "what the answer was asked with")
    key = hashlib.sha256(body.encode()).digest()
    row = connection.execute("SELECT id FROM terms WHERE hash = ?", (key,)).fetchone()
    if row is not None:
        return int(row["id"]), said
    return connection.execute("INSERT INTO terms (hash, body) VALUES (?, ?)", (key, body)).lastrowid, said


def provenance_of(terms: str | None, outcome: str | None) -> Provenance:
    """From the JSON of both."""
    if terms is None and outcome is None:
        return _NONE
    return Provenance(**json.loads(terms or "{}"), **json.loads(outcome or "{}"))


def _told(provenance: Provenance) -> dict[str, Any]:
    """Fields that differ from their defaults."""
    names = (field.name for field in fields(Provenance))
    return {name: value for name in names if (value := getattr(provenance, name)) != getattr(_NONE, name)}


def canonical(table: Mapping[str, Any], what: str) -> str:
    """JSON of one form. Raises RequestError if it cannot be JSON or is too large."""
    try:
        text = json.dumps(table, **_FORM, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"{what} cannot be kept: {error}") from error
    if len(text) > JSON_LIMIT:
        raise RequestError(f"{what} takes {len(text)} characters; {JSON_LIMIT} are kept")
    return text


def digest(message: Message, attachments: Sequence[str] = ()) -> bytes:
    """The hash of a message: see the module."""
    said = {"role": message.role, "content": message.content, "reasoning": message.reasoning}
    table = {**said, **_more(message), "attachments": list(attachments)}
    return hashlib.sha256(json.dumps(table, **_FORM).encode()).digest()


def _more(message: Message) -> dict[str, Any]:
    calls = [asdict(call) for call in message.tool_calls]
    return {"tool_calls": calls, "tool_call_id": message.tool_call_id, "name": message.name}


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")
