"""Chats that come from elsewhere, whole: with the times, branches and provenance that they had there."""

import time
from collections.abc import Sequence
from typing import Any

from gadfly.chat.store.chat_rows import find_chat, info_of, visit
from gadfly.chat.store.messages import keep_attachment, keep_message, keep_terms
from gadfly.chat.store.nodes import Nodes
from gadfly.chat.store.values import Arrival, ChatInfo
from gadfly.chat.values import Provenance

__all__ = ["Arrivals"]


class Arrivals(Nodes):
    """Nodes that others have said."""

    def has_source(self, owner: str, source: str) -> bool:
        """Whether a chat of this source has arrived, and is still here."""
        with self.reading() as connection:
            query = "SELECT 1 FROM chat WHERE owner = ? AND source = ?"
            return connection.execute(query, (owner, source)).fetchone() is not None

    def arrive(
        self,
        owner: str,
        title: str,
        nodes: Sequence[Arrival],
        leaf: int | None,
        *,
        source: str | None = None,
        created: float | None = None,
        updated: float | None = None,
        **fields: Any,
    ) -> ChatInfo:
        """Keep a whole conversation, or nothing of it. Parents and `leaf` are positions in `nodes`, parents first.

        `source` names where it comes from, `fields` are those of `change`.
        """
        now = time.time()
        with self.writing() as connection:
            chat = self.create(owner, title, **fields).id
            number = find_chat(connection, owner, chat)["number"]
            ids: list[int] = []
            for one in nodes:
                files = [keep_attachment(connection, name, kind, text.encode(), text) for name, kind, text in one.files]
                terms, outcome = keep_terms(connection, one.provenance or Provenance())
                values = (
                    number,
                    None if one.parent is None else ids[one.parent],
                    keep_message(connection, one.message, files),
                    now if one.created is None else one.created,
                    terms,
                    outcome,
                )
                added = connection.execute(
                    "INSERT INTO node (chat, parent, message, created, terms, outcome, state, visited) "
                    "VALUES (?, ?, ?, ?, ?, ?, 'complete', 0)",
                    values,
                ).lastrowid
                assert added is not None
                ids.append(added)
            visit(connection, number, None if leaf is None else ids[leaf])
            times = (source, created or now, updated or created or now, number)
            connection.execute("UPDATE chat SET source = ?, created = ?, updated = ? WHERE number = ?", times)
            return info_of(find_chat(connection, owner, chat))
