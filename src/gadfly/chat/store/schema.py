"""The tables, and how an older file becomes one of today. Steps are only ever added; the first 40 lines tell them all.

    message      what was said, once: `hash` is the SHA-256 of canonical JSON (`messages`), never changed
      attached     ordered: which attachment belongs to which message
    attachment   files by hash, with the text that a model reads
    chat         a conversation: its owner, its place in the list, the terms of the next answer, the leaf of its path
      tag
    node         the tree: a message in its place under a parent; ids ascend, so a parent is always older than a child
      partial      the text so far of a node that is being written (its `message` is empty until then)
      trace        tokens of an answer with their probabilities: zlib of JSON
      feedback     thumb, reasons, what it should have said
      vote         one answer preferred to another
    terms        what answers are asked with, once: model, digest, licence, build, persona, sampling … as JSON
    message_text, title_text   full text (FTS5) of `words.spaced`, without the text itself; not kept by triggers, as
                 `trusted_schema = OFF` would have it

`node.outcome` is the rest of an answer's provenance as JSON: seed, finish, usage, dropped, error. `node.writer` names
the open `Store` that writes it (`writers`). Times are seconds since 1970, ids of chats random, numbers internal.
"""

import sqlite3
from collections.abc import Sequence

from gadfly.errors import StoreError

__all__ = ["APPLICATION", "MIGRATIONS", "TOKENS", "migrate"]

APPLICATION = 0x67616466  # "gadf": application_id, by which `file` and we know our own

_FIRST = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
    content TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    more TEXT  -- JSON: tool_calls, tool_call_id, name, where there are any
) STRICT;
CREATE TABLE attachment (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    text TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE TABLE attached (
    message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    attachment TEXT NOT NULL REFERENCES attachment (hash),
    PRIMARY KEY (message, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX attached_attachment ON attached (attachment);
CREATE TABLE terms (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE chat (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    deleted REAL,
    folder TEXT NOT NULL DEFAULT '',
    model TEXT,
    persona TEXT,
    wit REAL,
    system TEXT,
    sampling TEXT NOT NULL DEFAULT '{}',
    draft TEXT NOT NULL DEFAULT '',
    leaf INTEGER,
    FOREIGN KEY (number, leaf) REFERENCES node (chat, id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX chat_list ON chat (owner, pinned DESC, updated DESC, number DESC);
CREATE INDEX chat_leaf ON chat (number, leaf);
CREATE TABLE tag (
    chat INTEGER NOT NULL REFERENCES chat (number) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (chat, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE node (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat INTEGER NOT NULL REFERENCES chat (number) ON DELETE CASCADE,
    parent INTEGER CHECK (parent < id),
    message INTEGER REFERENCES message (id),
    state TEXT NOT NULL CHECK (state IN ('complete', 'writing', 'stopped', 'failed', 'interrupted')),
    created REAL NOT NULL,
    visited INTEGER NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    favourite INTEGER NOT NULL DEFAULT 0,
    pruned INTEGER NOT NULL DEFAULT 0,
    writer TEXT,
    terms INTEGER REFERENCES terms (id),
    outcome TEXT,
    UNIQUE (chat, id),
    FOREIGN KEY (chat, parent) REFERENCES node (chat, id),
    CHECK ((message IS NULL) = (state = 'writing')),
    CHECK ((writer IS NULL) = (state <> 'writing'))
) STRICT;
CREATE INDEX node_parent ON node (chat, parent);
CREATE INDEX node_message ON node (message);
CREATE INDEX node_terms ON node (terms);
CREATE INDEX node_writer ON node (writer) WHERE writer IS NOT NULL;
CREATE TABLE partial (
    node INTEGER PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    content TEXT NOT NULL,
    reasoning TEXT NOT NULL
) STRICT;
CREATE TABLE trace (
    node INTEGER PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE feedback (
    node INTEGER PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    thumb INTEGER NOT NULL CHECK (thumb IN (-1, 0, 1)),
    reasons TEXT NOT NULL,
    corrected TEXT,
    created REAL NOT NULL
) STRICT;
CREATE TABLE vote (
    id INTEGER PRIMARY KEY,
    winner INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    loser INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    blind INTEGER NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE INDEX vote_winner ON vote (winner);
CREATE INDEX vote_loser ON vote (loser);
CREATE VIRTUAL TABLE message_text USING fts5 (
    content, content='message', content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='1 2 3'
);
"""

_SECOND = """
ALTER TABLE chat ADD COLUMN source TEXT;  -- of an import: its program, what that calls it, and when it last changed
CREATE UNIQUE INDEX chat_source ON chat (owner, source) WHERE source IS NOT NULL;
"""

_THIRD = """
CREATE VIRTUAL TABLE title_text USING fts5 (
    title, content='chat', content_rowid='number', tokenize='unicode61 remove_diacritics 2', prefix='1 2 3'
);
INSERT INTO title_text (title_text) VALUES ('rebuild');
"""

TOKENS = "tokenize='unicode61 remove_diacritics 2'"
"""As FTS5 takes words, once `words` has parted them."""

_FOURTH = f"""
DROP TABLE message_text;
DROP TABLE title_text;
CREATE VIRTUAL TABLE message_text USING fts5 (
    content, content='', {TOKENS}, prefix='2 3'
);
CREATE VIRTUAL TABLE title_text USING fts5 (
    title, content='', {TOKENS}, prefix='2 3'
);
INSERT INTO message_text (rowid, content) SELECT id, spaced(content) FROM message;
INSERT INTO title_text (rowid, title) SELECT number, spaced(title) FROM chat;
"""

_FIFTH = """
ALTER TABLE chat ADD COLUMN adapters TEXT NOT NULL DEFAULT '{}';  -- JSON: how strong each is in the next answer
"""

MIGRATIONS: Sequence[str] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""Scripts; that at index i makes version i + 1 of what was version i."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the file to the last version, each step whole or not at all. SQL has to know `spaced`.

    Raises StoreError if it belongs to another program or a later Gadfly.
    """
    while (version := _version(connection)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:  # else another process was quicker
                for statement in _statements(migrations[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if version > len(migrations):
        raise StoreError(f"version {version} of it is of a later Gadfly; this one knows {len(migrations)}: update it")


def _version(connection: sqlite3.Connection) -> int:
    """Of our tables; 0 for an empty file."""
    application, version, tables = (
        connection.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if application != APPLICATION and (application or version or tables):
        raise StoreError("it is a database of another program; move it away, or choose another file")
    return int(version)


def _statements(script: str) -> list[str]:
    """One by one: `executescript` would commit first."""
    found, statement = [], ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found
