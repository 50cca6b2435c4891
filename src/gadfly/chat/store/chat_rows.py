"""Rows of the table of chats: finding one, reading it, and moving the end of its path."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from gadfly.chat.store.values import ChatInfo, Place
from gadfly.errors import NotFoundError

__all__ = ["INFO", "find_chat", "forget_title", "info_of", "keep_title", "listed", "require_node", "visit"]

INFO = """chat.*, (SELECT count(*) FROM node WHERE node.chat = number) AS messages,
    (SELECT json_group_array(tag) FROM tag WHERE tag.chat = number) AS tags"""
"""What `info_of` reads."""


_PLACES: Mapping[Place | None, str] = {
    None: "deleted IS NULL",
    "active": "deleted IS NULL AND archived = 0",
    "archived": "deleted IS NULL AND archived = 1",
    "deleted": "deleted IS NOT NULL",
}


def listed(owner: str, place: Place | None, folder: str | None, tag: str | None) -> tuple[list[str], list[Any]]:
    """Terms of SQL that chats of a list meet, and their values; None stands for any, but for what is deleted."""
    terms, values = [f"owner = ? AND {_PLACES[place]}"], [owner]
    if folder is not None:
        terms.append("folder = ?")
        values.append(folder)
    if tag is not None:
        terms.append("EXISTS (SELECT 1 FROM tag WHERE tag.chat = number AND tag = ?)")
        values.append(tag)
    return terms, values


def find_chat(connection: sqlite3.Connection, owner: str, chat: str) -> sqlite3.Row:
    """Raises NotFoundError, also for what belongs to somebody else."""
    row = connection.execute(f"SELECT {INFO} FROM chat WHERE id = ? AND owner = ?", (chat, owner)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no chat {chat[:80]!r}")
    assert isinstance(row, sqlite3.Row)
    return row


def forget_title(connection: sqlite3.Connection, number: int) -> None:
    """Take the title of a chat out of the index, before it changes."""
    connection.execute(
        "INSERT INTO title_text (title_text, rowid, title) "
        "SELECT 'delete', number, spaced(title) FROM chat WHERE number = ?",
        (number,),
    )


def keep_title(connection: sqlite3.Connection, number: int) -> None:
    """Have a chat found by its title, after that has changed."""
    connection.execute(
        "INSERT INTO title_text (rowid, title) SELECT number, spaced(title) FROM chat WHERE number = ?", (number,)
    )


def visit(connection: sqlite3.Connection, number: int, node: int | None) -> None:
    """Have the path of a chat end at `node`."""
    if node is not None:
        require_node(connection, number, node)
        latest = "(SELECT coalesce(max(visited), 0) + 1 FROM node WHERE chat = ?)"
        connection.execute(f"UPDATE node SET visited = {latest} WHERE id = ?", (number, node))
    connection.execute("UPDATE chat SET leaf = ? WHERE number = ?", (node, number))


def require_node(connection: sqlite3.Connection, number: int, node: int) -> None:
    """Raises NotFoundError unless the message is in this chat."""
    if connection.execute("SELECT 1 FROM node WHERE chat = ? AND id = ?", (number, node)).fetchone() is None:
        raise NotFoundError(f"this conversation has no message {node}")


def info_of(row: sqlite3.Row) -> ChatInfo:
    """From the columns of INFO."""
    values = {name: row[name] for name in row.keys() if name not in ("number", "source")}  # noqa: SIM118
    values |= {name: bool(row[name]) for name in ("pinned", "archived")}
    values |= {name: json.loads(row[name]) for name in ("sampling", "adapters")}
    return ChatInfo(**{**values, "tags": tuple(json.loads(row["tags"]))})
