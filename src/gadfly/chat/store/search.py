"""Full-text search: words, "phrases", and the beginning of the last word, newest first.

FTS5 folds case and accents; `words` says what a word is where none are written. Nothing that a user types is syntax.
Chats are also found by their titles.
"""

import re
import secrets
import sqlite3
from contextlib import closing

from gadfly.chat.store.arrivals import Arrivals
from gadfly.chat.store.chat_rows import INFO, info_of, listed
from gadfly.chat.store.schema import TOKENS
from gadfly.chat.store.values import Hit, Place, Snippet
from gadfly.chat.store.words import share_of_signs, spaced, unspaced

__all__ = ["Search"]

_TERMS = 16
_WORDS, _SIGNS = 12, 36  # of a snippet
_BEGINNING = 90  # characters
_LOOKED_AT = 1000  # messages, for what chats say that their titles have brought
_QUERY = 1000  # characters


class Search(Arrivals):
    """Nodes that can be found by what they say."""

    def search(
        self,
        owner: str,
        text: str,
        limit: int = 50,
        *,
        place: Place | None = None,
        folder: str | None = None,
        tag: str | None = None,
    ) -> list[Hit]:
        """Chats that have a message with all words of `text`, or have them in their title.

        Of any place if that is None, but for what is deleted. Those that their title says come first.
        """
        words = _terms(text)
        if not words:
            return []
        limit = max(1, min(limit, 500))
        terms, values = listed(owner, place, folder, tag)
        where, match = " AND ".join(terms), " ".join(words)
        said = f"""SELECT chat.number, node.id, node.message FROM message_text
            JOIN node ON node.message = message_text.rowid JOIN chat ON chat.number = node.chat
            WHERE message_text MATCH ? AND {where} AND pruned = 0
            ORDER BY message_text.rowid DESC"""
        titled = f"""SELECT number FROM title_text JOIN chat ON number = title_text.rowid
            WHERE title_text MATCH ? AND {where} ORDER BY title_text.rowid DESC LIMIT ?"""
        content = "SELECT content FROM message WHERE id = ?"
        info = f"SELECT {INFO} FROM chat WHERE number = ?"
        with self.reading() as connection, closing(_Snippets(match)) as snippets:
            without = {row["number"]: None for row in connection.execute(titled, (match, *values, limit))}
            hits: dict[int, tuple[int, Snippet] | None] = dict(without)
            for looked, row in enumerate(connection.execute(said, (match, *values))):
                if len(hits) >= limit and (not without or looked > _LOOKED_AT):
                    break
                if (number := row["number"]) in without or (number not in hits and len(hits) < limit):
                    [text] = connection.execute(content, (row["message"],)).fetchone()
                    hits[number] = row["id"], snippets.of(text)
                    without.pop(number, None)
            found = []
            for number, hit in hits.items():
                node, snippet = hit or (None, _last(connection, number))
                found.append(Hit(info_of(connection.execute(info, (number,)).fetchone()), node, snippet))
            return found


def _last(connection: sqlite3.Connection, number: int) -> Snippet:
    """How the latest message of a chat begins, of which only the title has what was looked for."""
    query = """SELECT substr(content, 1, ?) FROM node JOIN message ON message.id = node.message
        WHERE chat = ? AND pruned = 0 AND role IN ('user', 'assistant') ORDER BY node.id DESC LIMIT 1"""
    row = connection.execute(query, (_BEGINNING + 1, number)).fetchone()
    if row is None or not row[0]:
        return ()
    return ((row[0] if len(row[0]) <= _BEGINNING else row[0][:_BEGINNING] + "…", False),)


def _terms(text: str) -> list[str]:
    """As FTS5 takes them: quoted, the last one open at its end unless a quote or a space closed it."""
    text = text[:_QUERY].replace("\0", " ")
    found = [phrase or word for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', text)]
    found = [term for term in found if any(character.isalnum() for character in term)][:_TERMS]
    terms = [f'"{spaced(term)}"' for term in found]
    if terms and not (text.endswith('"') or text[-1].isspace()):
        terms[-1] += "*"
    return terms


class _Snippets:
    """What FTS5 would show of texts that it has not kept, one at a time."""

    def __init__(self, match: str) -> None:
        self._match = match
        self._begin, self._end = f"<{secrets.token_hex(8)}>", f"</{secrets.token_hex(8)}>"  # no message has these in it
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute(f"CREATE VIRTUAL TABLE shown USING fts5 (content, {TOKENS})")

    def close(self) -> None:
        self._connection.close()

    def of(self, text: str) -> Snippet:
        """Pieces, each with whether it is what was looked for."""
        words = spaced(text)
        length = _WORDS + round((_SIGNS - _WORDS) * share_of_signs(words))
        self._connection.execute("INSERT OR REPLACE INTO shown (rowid, content) VALUES (1, ?)", (words,))
        query = "SELECT snippet(shown, 0, ?, ?, '…', ?) FROM shown WHERE shown MATCH ?"
        values = (self._begin, self._end, length, self._match)
        [snippet] = self._connection.execute(query, values).fetchone()
        found = []
        for number, piece in enumerate(unspaced(snippet).split(self._begin)):
            marked, closed, rest = piece.partition(self._end)
            found += [(marked, True), (rest, False)] if number and closed else [(piece, False)]
        return tuple(piece for piece in found if piece[0])
