"""Full-text search: words, "phrases", and the beginning of the last word, newest first.

FTS5 folds case and accents; `words` says what a word is where none are written. Nothing that a user types is syntax.
Chats are also found by their titles.
"""

import re
import secrets
import sqlite3
from contextlib import closing

from gadfly.chat.store.arrivals import Arrivals
from gadfly.chat.store.chat_rows import INFO, info_of
from gadfly.chat.store.schema import TOKENS
from gadfly.chat.store.values import Hit
from gadfly.chat.store.words import share_of_signs, spaced, unspaced

__all__ = ["Search"]

_TERMS = 16
_WORDS, _SIGNS = 12, 36  # of a snippet
_QUERY = 1000  # characters


class Search(Arrivals):
    """Nodes that can be found by what they say."""

    def search(self, owner: str, text: str, limit: int = 50) -> list[Hit]:
        """Chats that have a message with all words of `text`, or have them in their title; none that are deleted."""
        terms = _terms(text)
        if not terms:
            return []
        limit = max(1, min(limit, 500))
        said = """SELECT chat.number, node.id, node.message FROM message_text
            JOIN node ON node.message = message_text.rowid JOIN chat ON chat.number = node.chat
            WHERE message_text MATCH ? AND owner = ? AND deleted IS NULL AND pruned = 0
            ORDER BY message_text.rowid DESC"""
        match = " ".join(terms)
        hits: dict[int, Hit] = {}
        content = "SELECT content FROM message WHERE id = ?"
        info = f"SELECT {INFO} FROM chat WHERE number = ?"
        titled = """SELECT number FROM title_text JOIN chat ON number = title_text.rowid
            WHERE title_text MATCH ? AND owner = ? AND deleted IS NULL ORDER BY title_text.rowid DESC LIMIT ?"""
        with self.reading() as connection, closing(_Snippets(match)) as snippets:
            for row in connection.execute(titled, (match, owner, limit)).fetchall():
                found = info_of(connection.execute(info, (row["number"],)).fetchone())
                hits[row["number"]] = Hit(found, None, ((found.title, True),))
            for row in connection.execute(said, (match, owner)):
                if len(hits) >= limit:
                    break
                if (number := row["number"]) not in hits:
                    found = info_of(connection.execute(info, (number,)).fetchone())
                    [text] = connection.execute(content, (row["message"],)).fetchone()
                    hits[number] = Hit(found, row["id"], snippets.of(text))
        return list(hits.values())


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

    def of(self, text: str) -> tuple[tuple[str, bool], ...]:
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
