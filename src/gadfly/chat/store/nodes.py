"""The tree of a chat: saying, answering, choosing between versions, hiding and copying them. Nothing is ever lost."""

import json
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gadfly.chat.store.chat_rows import find_chat, info_of, require_node, visit
from gadfly.chat.store.chats import Chats
from gadfly.chat.store.messages import keep_message, keep_terms
from gadfly.chat.store.node_rows import Step, abandoned_node, all_nodes, one_node, tree_of
from gadfly.chat.store.values import ChatInfo, Conversation, Node, State
from gadfly.chat.store.writers import Writers
from gadfly.chat.store.writing import Writing
from gadfly.chat.tree import Tree
from gadfly.chat.values import Provenance
from gadfly.conversation import Message
from gadfly.errors import NotFoundError, RequestError

__all__ = ["Nodes"]

_NAME_LENGTH = 200
_TRACE_LIMIT = 64_000_000  # bytes of JSON; a larger one is not kept


class Nodes(Chats):
    """Messages of chats. Methods raise NotFoundError for a chat or message that is not there or somebody else's."""

    def __init__(self, path: Path | str, **options: Any) -> None:
        super().__init__(path, **options)
        self._writers = Writers(self.path.with_name(f"{self.path.name}-writers"))
        self._recover()

    def close(self) -> None:
        super().close()
        self._writers.leave()

    def open(self, owner: str, chat: str) -> Conversation:
        """Everything that was said. What is left of a writer that has died since is marked as interrupted."""
        conversation = self._open(owner, chat)
        if any(node.state == "writing" for node in conversation.nodes) and self._recover():
            return self._open(owner, chat)
        return conversation

    def node(self, owner: str, chat: str, node: int) -> Node:
        with self.reading() as connection:
            number = find_chat(connection, owner, chat)["number"]
            return one_node(connection, number, node)

    def say(self, owner: str, chat: str, parent: int | None, message: Message, attachments: Sequence[str] = ()) -> Node:
        """Put a message under `parent` (None: a new root) and end the path there. `attachments` are hashes."""
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            said = keep_message(connection, message, attachments)
            node = _insert(connection, number, parent, state="complete", message=said)
            return one_node(connection, number, node)

    def begin(
        self, owner: str, chat: str, parent: int | None, provenance: Provenance, text: str = "", reasoning: str = ""
    ) -> Writing:
        """An answer that is to be written under `parent`, beginning with `text`, at which the path ends now."""
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            terms, outcome = keep_terms(connection, provenance)
            writer = self._writers.enter()
            node = _insert(connection, number, parent, state="writing", writer=writer, terms=terms, outcome=outcome)
            connection.execute("INSERT INTO partial VALUES (?, ?, ?)", (node, text, reasoning))
            return Writing(self, one_node(connection, number, node), provenance)

    def resume(self, owner: str, chat: str, node: int) -> Writing:
        """Write on at an answer that was stopped, cut off or interrupted: in its place, after what there is of it.

        Raises RequestError if it is being written already, was not written by a model, or has been answered.
        """
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            one = one_node(connection, number, node)
            if one.state == "writing" or one.message.role != "assistant" or one.message.tool_calls:
                raise RequestError(f"message {node} is no answer that can be continued")
            if connection.execute("SELECT 1 FROM node WHERE chat = ? AND parent = ?", (number, node)).fetchone():
                raise RequestError(f"message {node} has been answered; begin another version of it instead")
            connection.execute(
                "INSERT INTO partial VALUES (?, ?, ?)", (node, one.message.content, one.message.reasoning)
            )
            connection.execute(
                "UPDATE node SET state = 'writing', message = NULL, writer = ? WHERE id = ?",
                (self._writers.enter(), node),
            )
            visit(connection, number, node)
            return Writing(self, one_node(connection, number, node), one.provenance)

    def choose(self, owner: str, chat: str, node: int) -> ChatInfo:
        """Show the path through `node`, as far as it went when it was last shown."""
        with self.writing() as connection:
            row = find_chat(connection, owner, chat)
            visit(connection, row["number"], tree_of(connection, row["number"]).descend(node))
            return info_of(find_chat(connection, owner, chat))

    def mark(self, owner: str, chat: str, node: int, **marks: Any) -> Node:
        """Set name, favourite or pruned. Pruning hides a message and what is below it; the path moves elsewhere."""
        with self.writing() as connection:
            row = find_chat(connection, owner, chat)
            number = row["number"]
            require_node(connection, number, node)
            for name, value in marks.items():
                connection.execute(f"UPDATE node SET {_mark(name, value)} = ? WHERE id = ?", (value, node))
            tree = tree_of(connection, number)
            hidden = next((one for one in tree.path(row["leaf"]) if one.pruned), None)
            if marks.get("pruned") and hidden is not None:
                visit(connection, number, _elsewhere(tree, hidden.id))
            return one_node(connection, number, node)

    def fork(self, owner: str, chat: str, node: int) -> ChatInfo:
        """A chat of its own with the path to `node`; messages are shared, so it takes hardly any room."""
        with self.writing() as connection:
            row = find_chat(connection, owner, chat)
            keys = ("title", "folder", "model", "persona", "wit", "system")
            tables = {key: json.loads(row[key]) for key in ("sampling", "adapters")}
            new = self.create(owner, **{key: row[key] for key in keys}, **tables)
            number = find_chat(connection, owner, new.id)["number"]
            parent: int | None = None
            for one in tree_of(connection, row["number"]).path(node):
                if one.state == "writing":
                    raise RequestError("an answer on this path is still being written; wait for it, or stop it")
                parent = _copy(connection, one.id, number, parent)
            visit(connection, number, parent)
            return info_of(find_chat(connection, owner, new.id))

    def trace(self, owner: str, chat: str, node: int) -> Mapping[str, Any] | None:
        """What was kept of the tokens of an answer, if anything."""
        with self.reading() as connection:
            require_node(connection, find_chat(connection, owner, chat)["number"], node)
            row = connection.execute("SELECT body FROM trace WHERE node = ?", (node,)).fetchone()
        if row is None:
            return None
        found = json.loads(zlib.decompress(row["body"]))
        assert isinstance(found, dict)
        return found

    def _save(self, node: int, content: str, reasoning: str) -> None:
        """What has been written so far."""
        with self.writing() as connection:
            changed = connection.execute(
                "UPDATE partial SET content = ?, reasoning = ? WHERE node = ?", (content, reasoning, node)
            )
            if not changed.rowcount:
                raise NotFoundError("the answer that is being written has been deleted")

    def _end(
        self, node: int, state: State, message: Message, provenance: Provenance, trace: Mapping[str, Any] | None
    ) -> Node:
        """What was written becomes a message."""
        with self.writing() as connection:
            row = connection.execute("SELECT chat, state FROM node WHERE id = ?", (node,)).fetchone()
            if row is None or row["state"] != "writing":
                raise NotFoundError("the answer that is being written has been deleted")
            terms, outcome = keep_terms(connection, provenance)
            connection.execute(
                "UPDATE node SET state = ?, message = ?, writer = NULL, terms = ?, outcome = ? WHERE id = ?",
                (state, keep_message(connection, message), terms, outcome, node),
            )
            connection.execute("DELETE FROM partial WHERE node = ?", (node,))
            body = b"" if trace is None else json.dumps(trace, separators=(",", ":")).encode()
            if 0 < len(body) <= _TRACE_LIMIT:  # an answer is worth more than how it came about
                connection.execute("INSERT OR REPLACE INTO trace VALUES (?, ?)", (node, zlib.compress(body)))
            connection.execute("UPDATE chat SET updated = ? WHERE number = ?", (time.time(), row["chat"]))
            return one_node(connection, row["chat"], node)

    def _recover(self) -> bool:
        """End the answers of writers that are gone; whether there were any."""
        query = "SELECT id, writer FROM node WHERE writer IS NOT NULL"
        with self.reading() as connection:
            writing = connection.execute(query).fetchall()
        gone = {name for name in {row["writer"] for row in writing} if self._writers.gone(name)}
        for row in writing:
            if row["writer"] in gone:
                self._interrupt(row["id"], row["writer"])
        for name in gone:
            self._writers.forget(name)
        return bool(gone)

    def _interrupt(self, node: int, writer: str) -> None:
        with self.writing() as connection:
            one = abandoned_node(connection, node, writer)
            if one is not None:  # else another process was quicker
                self._end(node, "interrupted", one.message, one.provenance, None)

    def _open(self, owner: str, chat: str) -> Conversation:
        with self.reading() as connection:
            row = find_chat(connection, owner, chat)
            return Conversation(info_of(row), all_nodes(connection, row["number"]))


def _insert(connection: sqlite3.Connection, number: int, parent: int | None, **columns: Any) -> int:
    if parent is not None:
        require_node(connection, number, parent)
    now = time.time()
    names = ", ".join(("chat", "parent", "created", "visited", *columns))
    values = (number, parent, now, 0, *columns.values())
    marks = ", ".join("?" * len(values))
    node = connection.execute(f"INSERT INTO node ({names}) VALUES ({marks})", values).lastrowid
    assert node is not None
    visit(connection, number, node)
    connection.execute("UPDATE chat SET updated = ? WHERE number = ?", (now, number))
    return node


def _copy(connection: sqlite3.Connection, node: int, number: int, parent: int | None) -> int:
    shared = "message, state, created, visited, name, favourite, pruned, terms, outcome"
    copied = connection.execute(
        f"INSERT INTO node (chat, parent, {shared}) SELECT ?, ?, {shared} FROM node WHERE id = ?",
        (number, parent, node),
    ).lastrowid
    assert copied is not None
    connection.execute("INSERT INTO trace SELECT ?, body FROM trace WHERE node = ?", (copied, node))
    return copied


def _elsewhere(tree: Tree[Step], pruned: int) -> int | None:
    """Where the path goes when `pruned`, the first on it, is hidden: to another version of the message, or up."""
    ends = [tree[tree.descend(one.id)] for one in tree.siblings(pruned) if not one.pruned]
    return max(ends, key=lambda one: (one.visited, one.id)).id if ends else tree[pruned].parent


def _mark(name: str, value: object) -> str:
    if name in ("favourite", "pruned") and isinstance(value, bool):
        return name
    if name == "name" and isinstance(value, str) and len(value) <= _NAME_LENGTH:
        return name
    raise RequestError(f"{name} is {value!r:.80}; name is a short text, favourite and pruned are true or false", name)
