"""Rows of the table of nodes: reading them as values, all of a chat, one, or only what the tree has to know."""

import json
import sqlite3
from typing import Any

from gadfly.chat.store.messages import attachments_of, message_of, provenance_of
from gadfly.chat.store.values import Feedback, Node, State
from gadfly.chat.tree import Tree
from gadfly.chat.values import Provenance
from gadfly.conversation import Message
from gadfly.errors import NotFoundError

__all__ = ["Step", "abandoned_node", "all_nodes", "one_node", "tree_of"]

_NODES = """SELECT node.*, message.role, message.content, message.reasoning, message.more,
        partial.content AS partial_content, partial.reasoning AS partial_reasoning,
        feedback.thumb, feedback.reasons, feedback.corrected, feedback.created AS judged,
        EXISTS (SELECT 1 FROM trace WHERE trace.node = node.id) AS has_trace
    FROM node LEFT JOIN message ON message.id = node.message LEFT JOIN partial ON partial.node = node.id
        LEFT JOIN feedback ON feedback.node = node.id"""


def all_nodes(connection: sqlite3.Connection, number: int) -> tuple[Node, ...]:
    rows = connection.execute(f"{_NODES} WHERE node.chat = ? ORDER BY node.id", (number,)).fetchall()
    attached = attachments_of(connection, {row["message"] for row in rows if row["message"] is not None})
    query = "SELECT id, body FROM terms WHERE id IN (SELECT terms FROM node WHERE chat = ?)"
    terms = {row["id"]: row["body"] for row in connection.execute(query, (number,))}
    return tuple(
        _node(row, provenance_of(terms.get(row["terms"]), row["outcome"]), attached.get(row["message"], ()))
        for row in rows
    )


def one_node(connection: sqlite3.Connection, number: int, node: int) -> Node:
    row = connection.execute(f"{_NODES} WHERE node.chat = ? AND node.id = ?", (number, node)).fetchone()
    if row is None:
        raise NotFoundError(f"this conversation has no message {node}")
    attached = attachments_of(connection, [row["message"]])
    return _node(row, _provenance(connection, row), attached.get(row["message"], ()))


def _provenance(connection: sqlite3.Connection, row: sqlite3.Row) -> Provenance:
    terms = connection.execute("SELECT body FROM terms WHERE id = ?", (row["terms"],)).fetchone()
    return provenance_of(terms["body"] if terms else None, row["outcome"])


def _node(row: sqlite3.Row, provenance: Provenance, attachments: tuple[Any, ...]) -> Node:
    if row["message"] is None:
        message = Message("assistant", row["partial_content"], row["partial_reasoning"])
    else:
        message = message_of(row)
    feedback = None
    if row["thumb"] is not None:
        feedback = Feedback(row["thumb"], tuple(json.loads(row["reasons"])), row["corrected"], row["judged"])
    return Node(
        row["id"],
        row["parent"],
        message,
        row["state"],
        row["created"],
        row["visited"],
        row["name"],
        bool(row["favourite"]),
        bool(row["pruned"]),
        provenance,
        attachments,
        feedback,
        bool(row["has_trace"]),
    )


def abandoned_node(connection: sqlite3.Connection, node: int, writer: str) -> Node | None:
    """A node that `writer` was writing, unless somebody has ended it."""
    row = connection.execute(f"{_NODES} WHERE node.id = ? AND writer = ?", (node, writer)).fetchone()
    return None if row is None else _node(row, _provenance(connection, row), ())


class Step:
    """A node as the tree needs it, without what was said."""

    def __init__(self, row: sqlite3.Row) -> None:
        self.id: int = row["id"]
        self.parent: int | None = row["parent"]
        self.visited: int = row["visited"]
        self.pruned = bool(row["pruned"])
        self.state: State = row["state"]


def tree_of(connection: sqlite3.Connection, number: int) -> Tree[Step]:
    query = "SELECT id, parent, visited, pruned, state FROM node WHERE chat = ?"
    return Tree(map(Step, connection.execute(query, (number,))))
