"""Attachments, backups and the health of the file."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gadfly.chat.store.messages import attachments_of, digest, keep_attachment, message_of
from gadfly.chat.store.search import Search
from gadfly.chat.store.values import Node
from gadfly.chat.values import Attachment, Message, said_with
from gadfly.errors import NotFoundError, RequestError

__all__ = ["Upkeep"]

_BYTES = 64_000_000
_PROBLEMS = 100  # after which nobody reads on


class Upkeep(Search):
    """A store that can be looked after."""

    def attach(self, name: str, type: str, data: bytes, text: str) -> Attachment:  # noqa: A002
        """Keep a file; `text` is what a model is to read of it. What no message has a day later may be forgotten."""
        if len(data) > _BYTES or len(text) > _BYTES:
            raise RequestError(f"the file is larger than {_BYTES} bytes")
        with self.writing() as connection:
            key = keep_attachment(connection, name, type, data, text)
        return Attachment(key, name, type, len(data), text)

    def attachment(self, hash: str) -> Attachment:  # noqa: A002
        """Whole. Whoever knows its hash knows the file, so nobody is asked who they are."""
        query = "SELECT hash, name, type, length(data), text FROM attachment WHERE hash = ?"
        with self.reading() as connection:
            row = connection.execute(query, (hash,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no attachment {hash[:80]!r}")
        return Attachment(*row)

    def said(self, node: Node) -> Message:
        """What a model is shown of it: with the text of its files."""
        if not node.attachments:
            return node.message
        return said_with(node.message.content, [self.attachment(file.hash) for file in node.attachments])

    def attachment_data(self, hash: str) -> bytes:  # noqa: A002
        """The file as it was sent."""
        with self.reading() as connection:
            row = connection.execute("SELECT data FROM attachment WHERE hash = ?", (hash,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no attachment {hash[:80]!r}")
        return bytes(row["data"])

    def backup(self, path: Path | str) -> None:
        """Copy everything into one file, while others read and write. Raises RequestError if there is one already."""
        target = Path(path).absolute()
        aside = target.with_name(f"{target.name}.{os.getpid()}.new")
        with self._explained():
            if target.exists():
                raise RequestError(f"{target} exists already; choose another name")
            os.close(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            try:
                with closing(sqlite3.connect(aside, isolation_level=None)) as copy, self.reading() as connection:
                    connection.execute("ROLLBACK")  # a copy takes a look of its own
                    connection.backup(copy)  # in one go, or it would begin anew whenever somebody writes
                    copy.execute("PRAGMA journal_mode = DELETE")  # one file, not three
                with aside.open("rb") as file:
                    os.fsync(file.fileno())
                os.link(aside, target)  # unlike a rename, never over another file
            except FileExistsError:
                raise RequestError(f"{target} exists already; choose another name") from None
            finally:
                aside.unlink(missing_ok=True)

    def check(self) -> list[str]:
        """What is wrong with the file, in sentences; nothing, if all is well. Reads all of it."""
        with self.reading() as connection:
            problems = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_PROBLEMS})") if row[0] != "ok"]
            problems += [
                f"row {row['rowid']} of {row['table']} refers to what is not in {row['parent']}"
                for row in connection.execute("PRAGMA foreign_key_check")
            ]
            problems += _wrong_hashes(connection)
        with self._lock:
            for index, table, key in (("message_text", "message", "id"), ("title_text", "chat", "number")):
                unknown = f"SELECT count(*) FROM {table} WHERE {key} NOT IN (SELECT id FROM {index}_docsize)"
                try:  # it is asked for with an INSERT, though it changes nothing
                    self._writer.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")
                    if count := self._writer.execute(unknown).fetchone()[0]:
                        problems.append(f"the search does not know {count} rows of {table}")
                except sqlite3.DatabaseError as error:
                    problems.append(f"the index {index} of the search is damaged: {error}")
        return problems[:_PROBLEMS]


def _wrong_hashes(connection: sqlite3.Connection) -> list[str]:
    problems = []
    for row in connection.execute("SELECT * FROM message"):
        message = message_of(row)
        attached = [one.hash for one in attachments_of(connection, [row["id"]]).get(row["id"], ())]
        if digest(message, attached) != row["hash"]:
            problems.append(f"message {row['id']} is not what was stored: its content has another hash")
    return problems
