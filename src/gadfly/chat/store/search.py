"""Full-text search: words, "phrases", and the beginning of the last word, newest first.

FTS5 folds case and accents; nothing that a user types is syntax. Chats are also found by their titles.
"""

import re
import secrets

from gadfly.chat.store.arrivals import Arrivals
from gadfly.chat.store.chat_rows import INFO, info_of
from gadfly.chat.store.values import Hit

__all__ = ["Search"]

_TERMS = 16
_WORDS = 12  # of a snippet
_QUERY = 1000  # characters


class Search(Arrivals):
    """Nodes that can be found by what they say."""

    def search(self, owner: str, text: str, limit: int = 50) -> list[Hit]:
        """Chats that have a message with all words of `text`, or have them in their title; none that are deleted."""
        terms = _terms(text)
        if not terms:
            return []
        limit = max(1, min(limit, 500))
        begin, end = f"<{secrets.token_hex(8)}>", f"</{secrets.token_hex(8)}>"  # no message has these in it
        said = """SELECT chat.number, node.id, message_text.rowid AS text
            FROM message_text JOIN node ON node.message = message_text.rowid JOIN chat ON chat.number = node.chat
            WHERE message_text MATCH ? AND owner = ? AND deleted IS NULL AND pruned = 0
            ORDER BY message_text.rowid DESC"""
        snippet = (
            "SELECT snippet(message_text, 0, ?, ?, '…', ?) FROM message_text WHERE message_text MATCH ? AND rowid = ?"
        )
        match = " ".join(terms)
        hits: dict[int, Hit] = {}
        info = f"SELECT {INFO} FROM chat WHERE number = ?"
        titled = """SELECT number FROM title_text JOIN chat ON number = title_text.rowid
            WHERE title_text MATCH ? AND owner = ? AND deleted IS NULL ORDER BY title_text.rowid DESC LIMIT ?"""
        with self.reading() as connection:
            for row in connection.execute(titled, (match, owner, limit)).fetchall():
                found = info_of(connection.execute(info, (row["number"],)).fetchone())
                hits[row["number"]] = Hit(found, None, ((found.title, True),))
            for row in connection.execute(said, (match, owner)):
                if len(hits) >= limit:
                    break
                if (number := row["number"]) not in hits:
                    found = info_of(connection.execute(info, (number,)).fetchone())
                    shown = connection.execute(snippet, (begin, end, _WORDS, match, row["text"])).fetchone()[0]
                    hits[number] = Hit(found, row["id"], _pieces(shown, begin, end))
        return list(hits.values())


def _terms(text: str) -> list[str]:
    """As FTS5 takes them: quoted, the last one open at its end unless a quote or a space closed it."""
    text = text[:_QUERY].replace("\0", " ")
    found = [phrase or word for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', text)]
    found = [term for term in found if any(character.isalnum() for character in term)][:_TERMS]
    terms = [f'"{term}"' for term in found]
    if terms and not text.endswith(('"', " ")):
        terms[-1] += "*"
    return terms


def _pieces(snippet: str, begin: str, end: str) -> tuple[tuple[str, bool], ...]:
    found = []
    for number, piece in enumerate(snippet.split(begin)):
        marked, closed, rest = piece.partition(end)
        found += [(marked, True), (rest, False)] if number and closed else [(piece, False)]
    return tuple(piece for piece in found if piece[0])
